/** Makes what programs find in a kernel beside maps, packets and devices. */
import type { Btf } from '../../btf/index.ts';
import type { Services } from '../interpreter/environment.ts';
import { Routes, type RoutingSpec } from '../net/routes.ts';
import { Alarms } from './alarms.ts';
import { Heap } from './heap.ts';
import type { Machine } from './machine.ts';
import { Mocks } from './mocks.ts';
import { Traced } from './traced.ts';
import { World } from './world.ts';

/** @param btf the kernel's own types, where it has some */
export function createServices(machine: Machine, btf: Btf | undefined, routing?: RoutingSpec): Services {
  const alarms = new Alarms(machine);
  const forget = (field: Parameters<Alarms['forget']>[0]) => alarms.forget(field);
  const heap = new Heap(machine, { timer: forget, wq: forget, task_work: forget });
  return {
    mocks: new Mocks(),
    heap,
    alarms,
    world: new World(machine, heap, btf),
    traced: new Traced(),
    routes: new Routes(routing),
  };
}

/** Gives back what they hold. */
export function closeServices({ alarms, heap, world }: Services): void {
  alarms.clear();
  world.close();
  heap.clear();
}
