/** tracefs and the event sources of perf: numbers that the running kernel gave to names. */
import { InputError } from '../../base/error.ts';
import type { Kernel } from '../../sys/index.ts';

const ROOTS = ['/sys/kernel/tracing', '/sys/kernel/debug/tracing'] as const;
const decoder = new TextDecoder();

function text(kernel: Kernel, path: string): string | undefined {
  const bytes = kernel.files.read_file(path);
  return bytes && decoder.decode(bytes).trim();
}

/** Where tracefs is mounted, or `undefined`. */
export function tracefs(kernel: Kernel): string | undefined {
  return ROOTS.find((root) => kernel.files.read_directory(`${root}/events`) !== undefined);
}

/** The number of a tracepoint. @throws InputError when there is none of that name, or no tracefs to ask */
export function tracepointId(kernel: Kernel, category: string, name: string): number {
  const root = tracefs(kernel);
  const doing = `looking for tracepoint ${category}/${name}`;
  if (root === undefined && kernel.name === 'embedded') {
    throw new InputError('loader-tracefs', `${doing}: the embedded kernel has no tracepoints; use Linux`, {
      errno: 'EOPNOTSUPP',
    });
  }
  if (root === undefined) {
    throw new InputError(
      'loader-tracefs',
      `${doing}: tracefs is not mounted; mount -t tracefs tracefs ${ROOTS[0]}`,
      { errno: 'ENOENT' },
    );
  }
  const id =
    /^[\w-]+$/.test(category) && /^[\w-]+$/.test(name)
      ? text(kernel, `${root}/events/${category}/${name}/id`)
      : undefined;
  if (id !== undefined) return Number(id);
  const known = kernel.files.read_directory(`${root}/events/${category}`);
  const reason =
    known === undefined ? `there is no category ${category}` : `category ${category} has none such`;
  throw new InputError('loader-tracepoint', `${doing}: ${reason} in ${root}/events`, { errno: 'ENOENT' });
}

/** A source of events that is not numbered in the header, such as `uprobe`. */
export interface EventSource {
  readonly type: number;
  /** The lowest bit of a field of `config`, or `undefined`. */
  readonly bit: (field: string) => number | undefined;
}

/** `undefined` where the kernel lacks it. */
export function eventSource(kernel: Kernel, name: string): EventSource | undefined {
  const folder = `/sys/bus/event_source/devices/${name}`;
  const type = text(kernel, `${folder}/type`);
  if (type === undefined) return undefined;
  return {
    type: Number(type),
    bit: (field) => {
      const found = /^config:(\d+)/.exec(text(kernel, `${folder}/format/${field}`) ?? '');
      return found ? Number(found[1]) : undefined;
    },
  };
}

/** The CPUs that run now. */
export function onlineCpus(kernel: Kernel): readonly number[] {
  const list = text(kernel, '/sys/devices/system/cpu/online');
  if (list === undefined) return Array.from({ length: kernel.possibleCpus }, (_, cpu) => cpu);
  return list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

/** Functions that the kernel can trace and whose names match; `*` stands for anything. */
export function traceableFunctions(kernel: Kernel, pattern: string): readonly string[] {
  const root = tracefs(kernel);
  const list = root === undefined ? undefined : text(kernel, `${root}/available_filter_functions`);
  if (list === undefined) {
    throw new InputError(
      'loader-kprobe',
      `looking for functions that match '${pattern}': the kernel lists none (available_filter_functions in tracefs; CONFIG_FUNCTION_TRACER)`,
      { errno: 'ENOENT' },
    );
  }
  const matcher = wildcard(pattern);
  const names = list.split('\n').map((line) => line.split(/\s/)[0]!);
  return [...new Set(names.filter((name) => matcher.test(name)))];
}

/** `*` stands for anything, `?` for one character. */
export function wildcard(pattern: string): RegExp {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`);
}
