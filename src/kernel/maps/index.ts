export { ArrayOfMaps, checkPattern, HashOfMaps } from './inner-map.ts';
export { BpfMap, errno, type MapHost, type MapShape, type Status } from './map.ts';
export { PerfEventArrayMap } from './perf-event-array.ts';
export { ProgArrayMap } from './prog-array.ts';
export { MAP_KINDS } from './registry.ts';
export { RingbufMap } from './ringbuf.ts';
