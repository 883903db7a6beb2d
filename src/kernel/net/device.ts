/** Network devices, as far as programs see them: an index, a name and the memory of their `struct net_device`. */
import type { Addr, Memory } from '../memory/index.ts';
import { NET_DEVICE } from './structs.ts';

/** What a kernel's caller says of a device. */
export interface DeviceSpec {
  readonly ifindex: number;
  readonly name: string;
  /** Bytes of a packet without its link layer header; default 1500. */
  readonly mtu?: number;
  /** Receive queues; default 1. */
  readonly rxQueues?: number;
  /** Six bytes; default all zero. */
  readonly address?: Uint8Array;
}

export interface NetDevice {
  readonly ifindex: number;
  readonly name: string;
  readonly mtu: number;
  readonly rxQueues: number;
  readonly address: Uint8Array;
  /** Its `struct net_device`. */
  readonly addr: Addr;
}

export const LOOPBACK: DeviceSpec = { ifindex: 1, name: 'lo', mtu: 65536 };

/** The devices of a network namespace. There is always a loopback device, number 1. */
export class Devices {
  readonly #memory: Memory;
  readonly #byIndex = new Map<number, NetDevice>();
  readonly loopback: NetDevice;

  constructor(memory: Memory, specs: readonly DeviceSpec[] = []) {
    this.#memory = memory;
    this.loopback = this.add(LOOPBACK);
    for (const spec of specs) this.add(spec);
  }

  add(spec: DeviceSpec): NetDevice {
    const addr = this.#memory.allocate(NET_DEVICE.size, {
      kind: 'kernel',
      owner: `device ${spec.name}`,
      access: 'none',
    });
    NET_DEVICE.patch(this.#memory.view, addr, {
      ifindex: spec.ifindex,
      mtu: spec.mtu ?? 1500,
      name: new TextEncoder().encode(spec.name).subarray(0, 15),
    });
    const device: NetDevice = {
      ifindex: spec.ifindex,
      name: spec.name,
      mtu: spec.mtu ?? 1500,
      rxQueues: spec.rxQueues ?? 1,
      address: spec.address ?? new Uint8Array(6),
      addr,
    };
    this.#byIndex.set(spec.ifindex, device);
    return device;
  }

  get(ifindex: number): NetDevice | undefined {
    return this.#byIndex.get(ifindex);
  }

  /** The device whose `struct net_device` is there. */
  at(addr: number): NetDevice | undefined {
    for (const device of this.#byIndex.values()) if (device.addr === addr) return device;
    return undefined;
  }

  /** All of them, in the order of their indices. */
  list(): readonly NetDevice[] {
    return [...this.#byIndex.values()].sort((a, b) => a.ifindex - b.ifindex);
  }

  close(): void {
    for (const { addr } of this.#byIndex.values()) this.#memory.free(addr);
    this.#byIndex.clear();
  }
}
