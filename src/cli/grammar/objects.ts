import type { ObjectFact } from './object.ts';

/** The objects of bpftool's grammar, in the order that abbreviations are tried; each is loaded when it is used. */
export const OBJECTS: readonly (readonly [name: string, load: () => Promise<ObjectFact>])[] = [
  ['prog', () => import('../prog/object.ts').then((module) => module.progObject)],
  ['map', () => import('../map/object.ts').then((module) => module.mapObject)],
  ['link', () => import('../link/object.ts').then((module) => module.linkObject)],
  ['cgroup', () => import('../cgroup/object.ts').then((module) => module.cgroupObject)],
  ['net', () => import('../net/object.ts').then((module) => module.netObject)],
  ['perf', () => import('../perf/object.ts').then((module) => module.perfObject)],
  ['feature', () => import('../feature/object.ts').then((module) => module.featureObject)],
  ['btf', () => import('../btf/object.ts').then((module) => module.btfObject)],
  ['gen', () => import('../gen/object.ts').then((module) => module.genObject)],
  ['struct_ops', () => import('../struct-ops/object.ts').then((module) => module.structOpsObject)],
  ['iter', () => import('../iter/object.ts').then((module) => module.iterObject)],
  ['token', () => import('../token/object.ts').then((module) => module.tokenObject)],
  ['fs', () => import('../fs/object.ts').then((module) => module.fsObject)],
  ['tc', () => import('../iproute2/tc.ts').then((module) => module.tcObject)],
  ['ip', () => import('../iproute2/ip.ts').then((module) => module.ipObject)],
];
