export { ArrayOfMaps, checkPattern, HashOfMaps } from './inner-map.ts';
export { BpfMap, errno, type MapElement, type MapHost, type MapShape, type Status } from './map.ts';
export { CURRENT_CPU, PerfEventArrayMap } from './perf-event-array.ts';
export { ProgArrayMap } from './prog-array.ts';
export { MAP_KINDS } from './registry.ts';
export { RINGBUF_WAKEUP, RingbufMap } from './ringbuf.ts';
