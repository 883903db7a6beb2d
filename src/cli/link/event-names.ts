/** Names of perf events, as perf(1) and bpftool have them. @see include/uapi/linux/perf_event.h */

const TYPES = ['hardware', 'software', 'tracepoint', 'hw-cache', 'raw', 'breakpoint'] as const;

const HARDWARE = [
  'cpu-cycles',
  'instructions',
  'cache-references',
  'cache-misses',
  'branch-instructions',
  'branch-misses',
  'bus-cycles',
  'stalled-cycles-frontend',
  'stalled-cycles-backend',
  'ref-cycles',
] as const;

const SOFTWARE = [
  'cpu-clock',
  'task-clock',
  'page-faults',
  'context-switches',
  'cpu-migrations',
  'minor-faults',
  'major-faults',
  'alignment-faults',
  'emulation-faults',
  'dummy',
  'bpf-output',
  'cgroup-switches',
] as const;

const CACHES = ['L1-dcache', 'L1-icache', 'LLC', 'dTLB', 'iTLB', 'branch', 'node'] as const;
const CACHE_OPERATIONS = ['load', 'store', 'prefetch'] as const;
const CACHE_RESULTS = ['refs', 'misses'] as const;

/** @param type `perf_event_attr.type` */
export function eventTypeName(type: number): string | undefined {
  return TYPES[type];
}

/** @param config `perf_event_attr.config` */
export function eventConfigName(type: number, config: bigint): string | undefined {
  switch (TYPES[type]) {
    case 'hardware':
      return HARDWARE[Number(config)];
    case 'software':
      return SOFTWARE[Number(config)];
    case 'hw-cache': {
      const part = (names: readonly string[], value: bigint) => names[Number(value)] ?? String(value);
      const cache = part(CACHES, config & 0xffn);
      const operation = part(CACHE_OPERATIONS, (config >> 8n) & 0xffn);
      return `${cache}-${operation}-${part(CACHE_RESULTS, config >> 16n)}`;
    }
    default:
      return undefined;
  }
}
