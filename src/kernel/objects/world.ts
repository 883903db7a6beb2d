/**
 * The kernel's own structs and variables as programs see them through BTF: laid out as the kernel's BTF says, so that
 * offsets compiled into programs (or relocated by CO-RE) fit. Only the members that mean something here are filled in, the
 * others are zero.
 */
import { type Btf, type BtfTypeId, fieldAt, trySizeOf } from '../../btf/index.ts';
import { type MapType, mapTypeId } from '../../sys/map-types.ts';
import type { BpfMap } from '../maps/map.ts';
import { type Addr, at, NULL } from '../memory/index.ts';
import type { Heap } from './heap.ts';
import type { Machine } from './machine.ts';
import { OWN_FIELDS } from './map-fields.ts';
import { cgroupsOf, type Task } from './task.ts';

/** Bytes of a struct where no BTF says how large it is. */
const UNKNOWN_SIZE = 64;
/** Bytes of `comm` in a task, its zero included. */
const COMM = 16;

type Value = bigint | number | Uint8Array;

export class World {
  readonly #machine: Machine;
  readonly #heap: Heap;
  readonly #btf: Btf | undefined;
  readonly #blocks: Addr[] = [];
  readonly #variables = new Map<number, Addr>();
  readonly #cgroups = new Map<bigint, Addr>();
  readonly #cgroupParents = new Map<bigint, bigint>();
  readonly #cgroupIds = new Map<number, bigint>();
  readonly #standIns = new Map<string, Addr>();
  readonly #originals = new Map<number, number>();
  readonly #ops = new Map<MapType, Addr>();
  readonly #tasks = new Map<number, { readonly task: Task; readonly addr: Addr }>();

  constructor(machine: Machine, heap: Heap, btf: Btf | undefined) {
    this.#machine = machine;
    this.#heap = heap;
    this.#btf = btf;
  }

  get btf(): Btf | undefined {
    return this.#btf;
  }

  /** Bytes of a struct of the kernel. */
  sizeOf(struct: string): number {
    const id = this.#btf?.find(struct, 'struct');
    return (id !== undefined && this.#btf && trySizeOf(this.#btf, id)) || UNKNOWN_SIZE;
  }

  /** A zeroed struct of the kernel, which lasts as long as the kernel. */
  create(struct: string, members: Readonly<Record<string, Value>> = {}): Addr {
    const addr = this.#block(this.sizeOf(struct), struct);
    for (const [path, value] of Object.entries(members)) this.set(addr, struct, path, value);
    return addr;
  }

  #block(size: number, owner: string): Addr {
    const addr = this.#machine.memory.allocate(size, { kind: 'kernel', owner, access: 'r' });
    this.#blocks.push(addr);
    return addr;
  }

  /** Sets a member, by its path; one that the kernel's struct does not have is let be. */
  set(addr: Addr, struct: string, path: string, value: Value): void {
    const place = this.#place(struct, path);
    if (!place) return;
    const { memory } = this.#machine;
    const to = at(addr, place.offset);
    if (value instanceof Uint8Array) {
      memory.write(to, value.subarray(0, place.size));
      return;
    }
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, BigInt(value)), true);
    memory.write(to, bytes.subarray(0, Math.min(place.size, 8)));
  }

  #place(struct: string, path: string): { readonly offset: number; readonly size: number } | undefined {
    const btf = this.#btf;
    const id = btf?.find(struct, 'struct');
    if (!btf || id === undefined) return undefined;
    try {
      const { type, bitOffset } = fieldAt(btf, id, path);
      return { offset: bitOffset / 8, size: trySizeOf(btf, type) ?? 0 };
    } catch {
      return undefined;
    }
  }

  /** Where a member is in its struct, in bytes. */
  offsetOf(struct: string, path: string): number | undefined {
    return this.#place(struct, path)?.offset;
  }

  /** The struct of a task, as it is described now. */
  taskStruct(task: Task): Addr {
    const known = this.#tasks.get(task.pid);
    if (known?.task === task) return known.addr;
    const addr = known?.addr ?? this.create('task_struct');
    if (!known) this.#heap.adopt(addr, Number.POSITIVE_INFINITY);
    this.#tasks.set(task.pid, { task, addr });
    const comm = new Uint8Array(COMM);
    comm.set(new TextEncoder().encode(task.comm).subarray(0, COMM - 1));
    const set = (path: string, value: Value) => this.set(addr, 'task_struct', path, value);
    set('pid', task.pid);
    set('tgid', task.tgid);
    set('comm', comm);
    set('flags', 0);
    set('usage.refs.counter', 1);
    set('group_leader', BigInt(addr));
    set('cpus_ptr', BigInt(at(addr, this.offsetOf('task_struct', 'cpus_mask') ?? 0)));
    set('nr_cpus_allowed', this.#machine.cpus);
    set('cpus_mask.bits', allOnes(this.#machine.cpus));
    if (!known) {
      const cred = this.create('cred');
      const cgroups = this.create('css_set');
      const namespaces = this.create('nsproxy');
      set('cred', BigInt(cred));
      set('real_cred', BigInt(cred));
      set('cgroups', BigInt(cgroups));
      set('nsproxy', BigInt(namespaces));
    }
    const credentials = this.pointer(addr, 'task_struct', 'cred');
    for (const name of ['uid', 'suid', 'euid', 'fsuid'])
      this.set(credentials, 'cred', `${name}.val`, task.uid);
    for (const name of ['gid', 'sgid', 'egid', 'fsgid'])
      this.set(credentials, 'cred', `${name}.val`, task.gid);
    const ids = cgroupsOf(task);
    this.set(
      this.pointer(addr, 'task_struct', 'cgroups'),
      'css_set',
      'dfl_cgrp',
      BigInt(this.cgroup(ids.at(-1)!, ids)),
    );
    const parent = task.ppid === undefined || task.ppid === task.pid ? addr : this.#parent(task.ppid);
    set('real_parent', BigInt(parent));
    set('parent', BigInt(parent));
    return addr;
  }

  #parent(pid: number): Addr {
    const known = this.#tasks.get(pid);
    return known?.addr ?? this.taskStruct({ pid, tgid: pid, uid: 0, gid: 0, comm: '' });
  }

  /** The task whose struct is there. */
  taskAt(addr: bigint): Task | undefined {
    for (const known of this.#tasks.values()) if (BigInt(known.addr) === addr) return known.task;
    return undefined;
  }

  /** All tasks that were described, by their pids, with their structs. */
  tasks(): readonly { readonly task: Task; readonly addr: Addr }[] {
    return [...this.#tasks.values()].toSorted((a, b) => a.task.pid - b.task.pid);
  }

  /** A task that is known by its pid: its struct, or `NULL`. */
  taskOf(pid: number): Addr {
    return this.#tasks.get(pid)?.addr ?? NULL;
  }

  /** The address that a member of a struct holds. */
  pointer(addr: Addr, struct: string, path: string): Addr {
    const offset = this.offsetOf(struct, path);
    return offset === undefined ? NULL : (this.#machine.memory.readU32(addr + offset) as Addr);
  }

  /** The struct of a cgroup. @param path ids of those above it and of itself, the root first */
  cgroup(id: bigint, path: readonly bigint[] = [id]): Addr {
    const known = this.#cgroups.get(id);
    if (known !== undefined) return known;
    const addr = this.create('cgroup');
    this.#heap.adopt(addr, Number.POSITIVE_INFINITY);
    this.#cgroups.set(id, addr);
    this.#cgroupIds.set(addr, id);
    const parent = path.at(-2);
    if (parent !== undefined) this.#cgroupParents.set(id, parent);
    const node = this.create('kernfs_node', { id });
    this.set(addr, 'cgroup', 'kn', BigInt(node));
    this.set(addr, 'cgroup', 'level', path.length - 1);
    this.set(addr, 'cgroup', 'self.cgroup', BigInt(addr));
    const above = path.slice(0, -1);
    const structs = [...above.map((one, i) => this.cgroup(one, above.slice(0, i + 1))), addr];
    const ancestors = this.offsetOf('cgroup', 'ancestors');
    const room = this.sizeOf('cgroup');
    for (const [level, struct] of structs.entries()) {
      const place = ancestors === undefined ? room : ancestors + 8 * level;
      if (place + 8 <= room) this.#machine.memory.writeU64(addr + place, BigInt(struct));
    }
    return addr;
  }

  /** A cgroup with those below it that are known, each in front of those below it. */
  cgroupsFrom(id: bigint): Addr[] {
    const addr = this.#cgroups.get(id);
    if (addr === undefined) return [];
    const below = [...this.#cgroupParents].filter(([, parent]) => parent === id);
    return [addr, ...below.flatMap(([child]) => this.cgroupsFrom(child))];
  }

  /** A cgroup and those above it, the root last. */
  cgroupsUp(id: bigint): Addr[] {
    const addr = this.#cgroups.get(id);
    const parent = this.#cgroupParents.get(id);
    return addr === undefined ? [] : [addr, ...(parent === undefined ? [] : this.cgroupsUp(parent))];
  }

  cgroupIdAt(addr: bigint): bigint | undefined {
    return this.#cgroupIds.get(Number(addr));
  }

  /** A cgroup that is known by its id: its struct, or `NULL`. */
  cgroupOf(id: bigint): Addr {
    return this.#cgroups.get(id) ?? NULL;
  }

  /**
   * The struct of the kernel that stands for an object which has places of this kernel's own.
   * @param members are set anew each time
   */
  standIn(object: number, struct: string, members: Readonly<Record<string, Value>>): Addr {
    const key = `${struct} ${object}`;
    let addr = this.#standIns.get(key);
    if (addr === undefined) {
      addr = this.create(struct);
      this.#standIns.set(key, addr);
      this.#originals.set(addr, object);
    }
    for (const [path, value] of Object.entries(members)) this.set(addr, struct, path, value);
    return addr;
  }

  /** The object that the struct there stands for, or 0. */
  standsFor(pointer: bigint): number {
    return this.#originals.get(Number(pointer)) ?? 0;
  }

  /** A member of a map's own struct, as programs read it through a map pointer. */
  mapField(map: BpfMap, offset: number, size: number): bigint {
    const { id, shape } = map;
    const btf = this.#btf;
    const struct = btf?.find('bpf_map', 'struct');
    if (!btf || struct === undefined) return 0n;
    const own = OWN_FIELDS[shape.type];
    const bytes = new Uint8Array(Math.max(this.sizeOf(own?.struct ?? 'bpf_map'), offset + size));
    const view = new DataView(bytes.buffer);
    const members = {
      map_type: mapTypeId(shape.type),
      key_size: shape.keySize,
      value_size: shape.valueSize,
      max_entries: shape.maxEntries,
      map_extra: shape.extra,
      map_flags: shape.flags,
      id,
      ops: this.#opsOf(shape.type),
    };
    for (const [path, value] of Object.entries(members)) {
      const place = this.#place('bpf_map', path);
      if (!place) continue;
      if (place.size === 8) view.setBigUint64(place.offset, BigInt(value), true);
      else view.setUint32(place.offset, Number(value), true);
    }
    for (const [path, value] of Object.entries(own?.members ?? {})) {
      const place = this.#place(own!.struct, path);
      if (place && place.offset < offset + size && offset < place.offset + place.size) {
        view.setUint32(
          place.offset,
          value(map, (struct) => this.sizeOf(struct)),
          true,
        );
      }
    }
    const name = this.#place('bpf_map', 'name');
    if (name) bytes.set(new TextEncoder().encode(shape.name).subarray(0, name.size - 1), name.offset);
    let value = 0n;
    for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[offset + i] ?? 0);
    return value;
  }

  #opsOf(type: MapType): bigint {
    let ops = this.#ops.get(type);
    if (ops === undefined) {
      ops = this.create('bpf_map_ops');
      this.#ops.set(type, ops);
    }
    return BigInt(ops);
  }

  /** A variable of the kernel, by its id in the kernel's BTF: zeros, for each processor where each has its own. */
  variable(id: number): Addr {
    const known = this.#variables.get(id);
    if (known !== undefined) return known;
    const type = this.#btf?.type(id as BtfTypeId);
    const size = type?.kind === 'var' ? (trySizeOf(this.#btf!, type.type) ?? 8) : 8;
    const percpu = type?.kind === 'var' && this.#isPercpu(id);
    const name = type?.kind === 'var' ? type.name : 'symbol';
    const addr = percpu ? this.#heap.allocatePercpu(size) : this.#block(size, name);
    this.#variables.set(id, addr);
    return addr;
  }

  #isPercpu(id: number): boolean {
    const section = this.#btf?.find('.data..percpu', 'datasec');
    const type = section === undefined ? undefined : this.#btf?.type(section);
    return type?.kind === 'datasec' && type.vars.some((one) => one.type === id);
  }

  /** Gives back everything. */
  close(): void {
    for (const addr of this.#blocks) {
      this.#heap.forget(addr);
      this.#machine.memory.free(addr);
    }
    this.#blocks.length = 0;
    this.#variables.clear();
    this.#tasks.clear();
    this.#cgroups.clear();
    this.#ops.clear();
    this.#standIns.clear();
    this.#originals.clear();
    this.#cgroupIds.clear();
    this.#cgroupParents.clear();
  }
}

function allOnes(bits: number): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(bits / 8));
  for (let i = 0; i < bits; i++) bytes[i >> 3]! |= 1 << (i & 7);
  return bytes;
}
