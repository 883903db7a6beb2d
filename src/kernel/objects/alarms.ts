/**
 * Functions of programs that run later: timers, work queues and task work. They are fields of map values; when the value
 * or the map's last user goes, they go too.
 *
 * Timers follow the kernel's clock: who moves it, or waits on it, calls {@link Alarms.run}.
 *
 * @see kernel/bpf/helpers.c, bpf_timer_init and the functions beside it
 */
import { type Errno, errnoId } from '../../sys/errno.ts';
import type { BpfMap } from '../maps/map.ts';
import { type Addr, at } from '../memory/index.ts';
import type { Machine } from './machine.ts';

/** A function of a program that waits to be called. It holds the program. */
export interface Deferred {
  /** Calls it, with r1 on. */
  readonly call: (args: readonly bigint[]) => bigint;
  readonly release: () => void;
}

export type AlarmKind = 'timer' | 'wq' | 'task_work';

interface Alarm {
  readonly kind: AlarmKind;
  readonly field: Addr;
  readonly map: BpfMap;
  readonly now: () => bigint;
  callback: Deferred | undefined;
  /** On its clock; `undefined` while it is not started. */
  due: bigint | undefined;
  /** Order of starting, among those that are due at the same time. */
  turn: number;
}

/** Ids of the clocks that a timer may follow. */
const CLOCKS: Readonly<Record<number, 'realtime' | 'monotonic' | 'boottime'>> = {
  0: 'realtime',
  1: 'monotonic',
  7: 'boottime',
};

const errno = (name: Errno): number => -errnoId(name);

export class Alarms {
  readonly #machine: Machine;
  readonly #byField = new Map<number, Alarm>();
  #running: Alarm | undefined;
  #turns = 0;
  /** Told when something is started that will be due, in nanoseconds from now. */
  onStart: ((nanoseconds: bigint) => void) | undefined;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** Begun ones, in all maps. */
  get count(): number {
    return this.#byField.size;
  }

  /** Makes a field of a map's value one. @param clock of timers */
  init(kind: AlarmKind, field: Addr, map: BpfMap, clock: bigint): number {
    if (this.#byField.has(field)) return errno('EBUSY');
    const name = kind === 'timer' ? CLOCKS[Number(clock)] : 'monotonic';
    if (name === undefined || (kind !== 'timer' && clock !== 0n)) return errno('EINVAL');
    // What nobody but a program holds would never be cleaned up.
    if (map.users === 0) return errno('EPERM');
    const { clock: clocks, memory } = this.#machine;
    this.#byField.set(field, {
      kind,
      field,
      map,
      now: () => clocks[name](),
      callback: undefined,
      due: undefined,
      turn: 0,
    });
    // It holds a program, which may hold the map.
    map.onUserEnd = () => this.forgetMap(map);
    // So that the value's end is noticed.
    memory.writeU64(field, 1n);
    return 0;
  }

  /** @param make makes the function last: only what is set is made */
  setCallback(field: Addr, make: () => Deferred): number {
    const alarm = this.#byField.get(field);
    if (!alarm) return errno('EINVAL');
    if (alarm.map.users === 0) return errno('EPERM');
    const before = alarm.callback;
    alarm.callback = make();
    before?.release();
    return 0;
  }

  start(field: Addr, nanoseconds: bigint, absolute: boolean): number {
    const alarm = this.#byField.get(field);
    if (!alarm?.callback) return errno('EINVAL');
    const now = alarm.now();
    alarm.due = absolute ? nanoseconds : now + nanoseconds;
    alarm.turn = ++this.#turns;
    if (alarm.due > now) this.onStart?.(alarm.due - now);
    // What is due when the program ends is called then.
    this.#machine.grace.after(() => this.run());
    return 0;
  }

  /** It will be called, or is being called. */
  isStarted(field: Addr): boolean {
    const alarm = this.#byField.get(field);
    return alarm !== undefined && (alarm.due !== undefined || alarm === this.#running);
  }

  /** @returns 1 when it was running, 0 when it was not, or a negative errno */
  cancel(field: Addr): number {
    const alarm = this.#byField.get(field);
    if (!alarm) return errno('EINVAL');
    if (alarm === this.#running) return errno('EDEADLK');
    const active = alarm.due !== undefined;
    alarm.due = undefined;
    alarm.callback?.release();
    alarm.callback = undefined;
    return active ? 1 : 0;
  }

  /** The field goes away. */
  forget(field: Addr): void {
    const alarm = this.#byField.get(field);
    if (!alarm) return;
    this.#byField.delete(field);
    alarm.due = undefined;
    if (alarm === this.#running) return;
    alarm.callback?.release();
    alarm.callback = undefined;
  }

  /** The last user of a map is gone. */
  forgetMap(map: BpfMap): void {
    for (const alarm of [...this.#byField.values()]) {
      if (alarm.map !== map) continue;
      this.forget(alarm.field);
      this.#machine.memory.writeU64(alarm.field, 0n);
    }
  }

  /** Nanoseconds until the next one is due; `undefined` when none is started. */
  next(): bigint | undefined {
    let least: bigint | undefined;
    for (const { due, now } of this.#byField.values()) {
      if (due === undefined) continue;
      const left = due - now();
      if (least === undefined || left < least) least = left > 0n ? left : 0n;
    }
    return least;
  }

  /** Calls what is due, the earliest first. @returns how many were called */
  run(): number {
    let calls = 0;
    for (;;) {
      let first: Alarm | undefined;
      for (const alarm of this.#byField.values()) {
        const { due, now, turn } = alarm;
        if (due === undefined || due > now()) continue;
        if (first === undefined || due < first.due! || (due === first.due && turn < first.turn))
          first = alarm;
      }
      if (!first || this.#running) return calls;
      this.#call(first);
      calls += 1;
    }
  }

  #call(alarm: Alarm): void {
    const { map, field, kind, callback } = alarm;
    alarm.due = undefined;
    const { memory, grace } = this.#machine;
    const offset = map.shape.fields?.find((one) => one.kind === kind)?.offset ?? 0;
    const value = at(field, -offset);
    const key = memory.allocate(Math.max(map.shape.keySize, 4), {
      kind: 'mem',
      owner: 'key of a callback',
      access: 'r',
    });
    const place = keyOf(map, value);
    if (place !== undefined) memory.write(key, place);
    this.#running = alarm;
    grace.enter();
    try {
      callback!.call([BigInt(map.addr), BigInt(key), BigInt(value)]);
    } finally {
      this.#running = undefined;
      memory.free(key);
      if (!this.#byField.has(field)) callback!.release();
      grace.leave();
    }
  }

  clear(): void {
    for (const field of [...this.#byField.keys()]) this.forget(field as Addr);
  }
}

/** The key that a value has in its map. */
function keyOf(map: BpfMap, value: Addr): Uint8Array | undefined {
  for (const element of map.elements()) {
    if (element.value === value) return map.machine.memory.read(element.key, map.shape.keySize);
  }
  return undefined;
}
