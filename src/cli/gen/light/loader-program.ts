/**
 * Builds a program that makes system calls: it loads types, makes maps and loads programs inside the kernel, as the loader
 * programs of libbpf do, instruction by instruction.
 *
 * Registers of the program that is built: r6 the context, r7 what the last call answered, r8 an instruction that is being
 * filled in, r9 what has been found for it. What fails goes to the clean-up code, which closes what is open.
 */
import {
  BTF_LOAD,
  COMMAND,
  CONTEXT,
  IN_KERNEL,
  MAP_CREATE,
  MAP_DESC,
  MAP_UPDATE,
  PROG_DESC,
  PROG_LOAD,
  SIZE,
} from './attributes.ts';
import { LoaderCode, LoaderData, type Place, type Width } from './blob.ts';
import { KernelSymbolCode, type SymbolUse } from './symbols.ts';

/** Maps, and modules of kernel functions, that the array of file descriptors has room for. */
const MAX_MAPS = 64;
const MAX_MODULES = 256;
const FD = 4;
/** `struct loader_stack`: file descriptors of the types, of an inner map, of 32 programs. */
const STACK = 8 + 32 * FD;
const STACK_TYPES = -STACK;
const STACK_INNER_MAP = STACK_TYPES + FD;
const STACK_PROGRAMS = STACK_INNER_MAP + FD;
/** Instructions with which a file descriptor of the data is closed. */
const CLOSE_LENGTH = 6;

/** A map to be made. */
export interface LoaderMap {
  readonly attr: Parameters<typeof MAP_CREATE.write>[2];
  /** Made anew from this template, and let go of, where it is a map of maps. */
  readonly inner?: LoaderMap['attr'];
  readonly holdsMaps: boolean;
  /** The only value of a map of global data. */
  readonly data?: Uint8Array;
  readonly frozen: boolean;
  /** Maps that it starts with, by their index among all. */
  readonly slots: readonly { readonly index: number; readonly map: number }[];
}

/** A program to be loaded. */
export interface LoaderProgram {
  readonly attr: Parameters<typeof PROG_LOAD.write>[2];
  readonly license: string;
  readonly insns: Uint8Array;
  readonly functions: Uint8Array;
  readonly lines: Uint8Array;
  readonly relocations: Uint8Array;
  /** What it is attached to, and the kind of BTF type that this is. */
  readonly target?: { readonly name: string; readonly kind: number };
  readonly symbols: readonly SymbolUse[];
}

export class LoaderBuilder {
  readonly #data = new LoaderData();
  readonly #code = new LoaderCode();
  readonly #fds: Place;
  readonly #cleanUp: number;
  readonly #symbols: KernelSymbolCode;
  #maps = 0;
  #programs = 0;

  /**
   * @param functions all of the object: so many file descriptors are closed when something fails
   * @param maps all of the object
   * @param modern as libbpf 1.8 builds it
   */
  constructor(functions: number, maps: number, modern: boolean) {
    const code = this.#code;
    this.#fds = this.#data.reserve((MAX_MAPS + MAX_MODULES) * FD);
    code.move(6, 1);
    code.move(1, 10);
    code.add(1, -STACK);
    code.set(2, STACK);
    code.set(3, 0);
    code.call('probe_read_kernel');
    const open = 2 + functions;
    code.jump('always', 0, 0, open * 3 + 2 + maps * CLOSE_LENGTH);
    this.#cleanUp = code.length;
    for (let i = 0; i < open; i++) {
      code.load(4, 1, 10, -STACK + i * FD);
      code.jump('sle', 1, 0, 1);
      code.call('sys_close');
    }
    for (let i = 0; i < maps; i++) this.#closePlace(this.#fd(i));
    code.move(0, 7);
    code.exit();
    this.#symbols = new KernelSymbolCode({
      code,
      data: this.#data,
      fd: (index) => this.#fd(index),
      firstModule: MAX_MAPS,
      check: () => this.#check(),
      copy: (to, from, size) => this.#copy(to, from, size),
      close: (place) => this.#closePlace(place),
      modern,
    });
  }

  /** Where the file descriptor of a map, or of a module, is. */
  #fd(index: number): Place {
    return this.#fds + index * FD;
  }

  #closeRegister(): void {
    this.#code.jump('sle', 1, 0, 2);
    this.#code.move(9, 1);
    this.#code.call('sys_close');
  }

  #closePlace(place: Place): void {
    this.#code.address(0, place);
    this.#code.load(4, 1, 0, 0);
    this.#closeRegister();
  }

  #closeStack(off: number): void {
    this.#code.load(4, 1, 10, off);
    this.#closeRegister();
  }

  /** Leaves by the clean-up code when r7 is an error. */
  #check(): void {
    this.#code.jump('slt', 7, 0, this.#cleanUp - this.#code.length - 1);
  }

  #copy(to: Place, from: Place, size: Width): void {
    this.#code.address(2, from);
    this.#code.load(size, 0, 2, 0);
    this.#code.address(1, to);
    this.#code.store(size, 1, 0, 0);
  }

  /** Puts the address of one place of the data into another. */
  #point(at: Place, to: Place): void {
    this.#code.address(0, to);
    this.#code.address(1, at);
    this.#code.store(8, 1, 0, 0);
  }

  /** @param unlessZero leave what is there when the context has 0 */
  #fromContext(to: Place, size: Width, off: number, unlessZero = false): void {
    this.#code.load(size, 0, 6, off);
    if (unlessZero) this.#code.jump('eq', 0, 0, 3);
    this.#code.address(1, to);
    this.#code.store(size, 1, 0, 0);
  }

  #fromStack(to: Place, off: number): void {
    this.#code.load(4, 0, 10, off);
    this.#code.address(1, to);
    this.#code.store(4, 1, 0, 0);
  }

  #systemCall(command: number, attr: Place, size: number): void {
    this.#code.set(1, command);
    this.#code.address(2, attr);
    this.#code.set(3, size);
    this.#code.call('sys_bpf');
    this.#code.move(7, 0);
  }

  /** The log that the caller wants goes into the attributes that have a log. */
  #logTo(level: Place, size: Place, buffer: Place): void {
    const { log_level, log_size, log_buf } = CONTEXT.members;
    this.#fromContext(level, 4, log_level.offset);
    this.#fromContext(size, 4, log_size.offset);
    this.#fromContext(buffer, 8, log_buf.offset);
  }

  types(btf: Uint8Array): void {
    const data = this.#data.add(btf);
    const bytes = new Uint8Array(BTF_LOAD.size);
    BTF_LOAD.patch(new DataView(bytes.buffer), 0, { btf_size: btf.length });
    const attr = this.#data.add(bytes.subarray(0, SIZE.btfLoad));
    const at = (member: keyof typeof BTF_LOAD.members) => attr + BTF_LOAD.members[member].offset;
    this.#logTo(at('btf_log_level'), at('btf_log_size'), at('btf_log_buf'));
    this.#point(at('btf'), data);
    this.#systemCall(COMMAND.btfLoad, attr, SIZE.btfLoad);
    this.#check();
    this.#code.store(4, 10, STACK_TYPES, 7);
  }

  map(map: LoaderMap): void {
    if (map.inner) {
      this.#create(map.inner, false, undefined);
      this.#code.store(4, 10, STACK_INNER_MAP, 7);
    }
    const index = this.#maps++;
    this.#create(map.attr, map.holdsMaps, index);
    this.#code.address(1, this.#fd(index));
    this.#code.store(4, 1, 0, 7);
    if (map.holdsMaps) this.#closeStack(STACK_INNER_MAP);
    if (map.data) this.#fill(index, map.data);
    if (map.data && map.frozen) this.#freeze(index);
    for (const slot of map.slots) this.#populate(index, slot.index, slot.map);
  }

  #create(given: LoaderMap['attr'], holdsMaps: boolean, index: number | undefined): void {
    const bytes = new Uint8Array(MAP_CREATE.size);
    MAP_CREATE.patch(new DataView(bytes.buffer), 0, given);
    const attr = this.#data.add(bytes.subarray(0, SIZE.mapCreate));
    const at = (member: keyof typeof MAP_CREATE.members) => attr + MAP_CREATE.members[member].offset;
    if (given.btf_value_type_id !== 0) this.#fromStack(at('btf_fd'), STACK_TYPES);
    if (holdsMaps) this.#fromStack(at('inner_map_fd'), STACK_INNER_MAP);
    if (index !== undefined) {
      const wanted = CONTEXT.size + MAP_DESC.size * index + MAP_DESC.members.max_entries.offset;
      this.#fromContext(at('max_entries'), 4, wanted, true);
    }
    this.#systemCall(COMMAND.mapCreate, attr, SIZE.mapCreate);
    this.#check();
  }

  /** The value that the caller gives, or else the object's own. */
  #fill(index: number, bytes: Uint8Array): void {
    const code = this.#code;
    const value = this.#data.add(bytes);
    const key = this.#data.reserve(4);
    code.load(8, 3, 6, CONTEXT.size + MAP_DESC.size * index + MAP_DESC.members.initial_value.offset);
    code.jump('eq', 3, 0, 8);
    code.address(1, value);
    code.set(2, bytes.length);
    code.load(4, 0, 6, CONTEXT.members.flags.offset);
    code.jump('set', 0, IN_KERNEL, 2);
    code.call('copy_from_user');
    code.jump('always', 0, 0, 1);
    code.call('probe_read_kernel');
    this.#update(this.#data.reserve(SIZE.mapUpdate), index, key, value);
  }

  #populate(index: number, slot: number, inner: number): void {
    const key = this.#data.add(new Uint8Array(Uint32Array.of(slot).buffer));
    this.#update(this.#data.reserve(SIZE.mapUpdate), index, key, this.#fd(inner));
  }

  #update(attr: Place, index: number, key: Place, value: Place): void {
    const { members } = MAP_UPDATE;
    this.#copy(attr + members.map_fd.offset, this.#fd(index), 4);
    this.#point(attr + members.key.offset, key);
    this.#point(attr + members.value.offset, value);
    this.#systemCall(COMMAND.mapUpdate, attr, SIZE.mapUpdate);
    this.#check();
  }

  #freeze(index: number): void {
    const attr = this.#data.reserve(SIZE.mapFreeze);
    this.#copy(attr, this.#fd(index), 4);
    this.#systemCall(COMMAND.mapFreeze, attr, SIZE.mapFreeze);
    this.#check();
  }

  program(program: LoaderProgram): void {
    const { target, symbols } = program;
    const code = this.#code;
    const data = this.#data;
    const license = data.text(program.license);
    const insns = data.add(program.insns);
    const functions = data.add(program.functions);
    const lines = data.add(program.lines);
    const relocations = data.add(program.relocations);
    const bytes = new Uint8Array(PROG_LOAD.size);
    PROG_LOAD.patch(new DataView(bytes.buffer), 0, program.attr);
    const attr = data.add(bytes.subarray(0, SIZE.progLoad));
    const at = (member: keyof typeof PROG_LOAD.members) => attr + PROG_LOAD.members[member].offset;
    this.#point(at('license'), license);
    this.#point(at('insns'), insns);
    this.#point(at('func_info'), functions);
    this.#point(at('line_info'), lines);
    this.#point(at('core_relos'), relocations);
    this.#point(at('fd_array'), this.#fds);
    this.#logTo(at('log_level'), at('log_size'), at('log_buf'));
    this.#fromStack(at('prog_btf_fd'), STACK_TYPES);
    if (target) {
      this.#symbols.find(target.name, target.kind);
      this.#check();
      code.address(0, attr);
      code.store(4, 0, PROG_LOAD.members.attach_btf_id.offset, 7);
      code.shiftRight(7, 32);
      code.store(4, 0, PROG_LOAD.members.attach_btf_obj_fd.offset, 7);
    }
    this.#symbols.fillIn(symbols, insns);
    this.#systemCall(COMMAND.progLoad, attr, SIZE.progLoad);
    this.#symbols.cleanUp();
    if (target) this.#closePlace(at('attach_btf_obj_fd'));
    this.#check();
    code.store(4, 10, STACK_PROGRAMS + this.#programs++ * FD, 7);
  }

  /** Hands everything to the caller, and ends. */
  finish(): { readonly data: Uint8Array; readonly insns: Uint8Array } {
    const code = this.#code;
    this.#closeStack(STACK_TYPES);
    const programs = CONTEXT.size + MAP_DESC.size * this.#maps;
    for (let i = 0; i < this.#programs; i++) {
      code.load(4, 0, 10, STACK_PROGRAMS + i * FD);
      code.store(4, 6, programs + PROG_DESC.size * i, 0);
    }
    for (let i = 0; i < this.#maps; i++) {
      code.address(1, this.#fd(i));
      code.load(4, 0, 1, 0);
      code.store(4, 6, CONTEXT.size + MAP_DESC.size * i + MAP_DESC.members.map_fd.offset, 0);
    }
    code.set(0, 0);
    code.exit();
    return { data: this.#data.bytes(), insns: code.bytes() };
  }
}
