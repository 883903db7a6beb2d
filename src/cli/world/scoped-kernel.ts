import type { EmbeddedKernel } from '../../kernel/index.ts';
import type { Bpf, Command, Fd } from '../../sys/index.ts';

/** Commands whose result is a file descriptor, or holds one. */
const OPENING: ReadonlySet<string> = new Set<Command>([
  'map_create',
  'prog_load',
  'obj_get',
  'prog_get_fd_by_id',
  'map_get_fd_by_id',
  'btf_get_fd_by_id',
  'link_get_fd_by_id',
  'raw_tracepoint_open',
  'btf_load',
  'link_create',
  'enable_stats',
  'iter_create',
  'token_create',
]);

/** Methods of the kernel beside `bpf` whose result is a file descriptor, or several. */
const OPENING_METHODS: ReadonlySet<string | symbol> = new Set(['perfEventOpen', 'openPerfBuffer']);

type Method = (...args: unknown[]) => unknown;

/**
 * A kernel that several users share, as one of them sees it: it is the kernel, but closing it closes that user's file
 * descriptors alone.
 * @param fds those that the user has open; kept up to date
 */
export function scopedKernel(shared: EmbeddedKernel, fds = new Set<Fd>()): EmbeddedKernel {
  const note = (result: unknown): unknown => {
    if (typeof result === 'number') fds.add(result as Fd);
    else if (Array.isArray(result)) for (const fd of result) note(fd);
    else if (typeof result === 'object' && result !== null && 'fd' in result) note(result.fd);
    return result;
  };
  const noting = (target: object, method: Method): Method => {
    return (...args) => note(method.apply(target, args));
  };
  const bpf = Object.fromEntries(
    Object.entries(shared.bpf).map(([name, call]) => [
      name,
      OPENING.has(name) ? noting(shared.bpf, call as Method) : call,
    ]),
  ) as unknown as Bpf;
  const closeFd = (fd: Fd): void => {
    shared.closeFd(fd);
    fds.delete(fd);
  };
  const close = (): void => {
    // A link's descriptor goes before that of the program that it holds.
    for (const fd of [...fds].reverse()) closeFd(fd);
  };
  /** A part of the kernel some of whose methods open something. */
  const noted = <T extends object>(part: T, opening: readonly string[]): T =>
    new Proxy(part, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        return opening.includes(String(name)) ? noting(target, value as Method) : value.bind(target);
      },
    });
  const own = new Map<string | symbol, unknown>([
    ['bpf', bpf],
    ['files', noted(shared.files, ['open'])],
    ['os', noted(shared.os, ['perf_event_open'])],
    ['closeFd', closeFd],
    ['close', close],
    [Symbol.dispose, close],
  ]);
  return new Proxy(shared, {
    get: (target, name) => {
      if (own.has(name)) return own.get(name);
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      return OPENING_METHODS.has(name) ? noting(target, value as Method) : value.bind(target);
    },
  });
}
