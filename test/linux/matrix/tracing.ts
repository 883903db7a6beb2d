import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readElf } from '../../../src/elf/index.ts';
import type { LoadedObject } from '../../../src/loader/index.ts';
import { loadObject } from '../../../src/loader/index.ts';
import { PERF_SOFTWARE, PERF_TYPES } from '../../../src/sys/index.ts';
import { sys } from './sockets.ts';
import { type Case, load, measure, must, runsOf, settle, spec, TARGET, type World } from './world.ts';

const getppid = () => sys.getppid();
const nap = () => sys.usleep(1000);
/** Two rounds of the test binary. */
const target = () => spawnSync(TARGET, ['2']).status;

function cookieOf(object: LoadedObject): bigint {
  return new DataView(object.readVariable('cookie').buffer).getBigUint64(0, true);
}

const sawCookie = (wanted: bigint) => (object: LoadedObject) => {
  must(cookieOf(object) === wanted, `the program saw cookie ${cookieOf(object)}`);
  return `cookie ${wanted}`;
};

function busy(): void {
  const end = process.hrtime.bigint() + 60_000_000n;
  while (process.hrtime.bigint() < end);
}

/** Events are counted by where they are; those of user space in whatever runs the test's binary. */
const everybody = (world: World, name: string) => {
  const parsed = spec('hooks');
  return loadObject(world.kernel, parsed, { programs: [name], maps: 'used' });
};

const TRACE = { group: 'tracing', event: 'a system call of the test' } as const;
const USER = { group: 'user space', event: "calls in the test's own binary" } as const;
const NAP = { group: 'tracing', event: 'a nap of the test', config: 'CONFIG_KPROBES' } as const;

function userCase(
  name: string,
  road: string,
  program: string,
  attach: (loaded: LoadedObject) => ReturnType<LoadedObject['attach']>,
  check?: (object: LoadedObject) => string | undefined,
): Case {
  return {
    ...USER,
    name,
    road,
    run: async (world) => {
      using object = everybody(world, program);
      const link = attach(object);
      const before = runsOf(object);
      target();
      const fired = await settle(object, before);
      const note = check?.(object);
      link.close();
      target();
      return { before, fired, after: runsOf(object) - before - fired, ...(note !== undefined && { note }) };
    },
  };
}

export const TRACING: readonly Case[] = [
  {
    ...TRACE,
    name: 'tracepoint',
    road: 'perf event and link',
    run: (world) =>
      measure(world, {
        program: 'count_tracepoint',
        attach: (program) => program.attach({ cookie: 11n }),
        fire: getppid,
        check: sawCookie(11n),
      }),
  },
  {
    ...TRACE,
    name: 'tracepoint',
    road: 'perf event and ioctl',
    run: (world) =>
      measure(world, {
        program: 'count_tracepoint',
        attach: (program) => program.attachTracepoint('syscalls', 'sys_enter_getppid', { mode: 'ioctl' }),
        fire: getppid,
      }),
  },
  {
    ...TRACE,
    name: 'raw tracepoint',
    road: 'RAW_TRACEPOINT_OPEN',
    run: (world) =>
      measure(world, {
        program: 'count_raw_tracepoint',
        attach: (program) => program.attach({ cookie: 12n }),
        fire: getppid,
        check: sawCookie(12n),
      }),
  },
  {
    ...TRACE,
    name: 'tp_btf',
    road: 'RAW_TRACEPOINT_OPEN',
    run: (world) =>
      measure(world, { program: 'count_tp_btf', attach: (program) => program.attach(), fire: getppid }),
  },
  {
    ...TRACE,
    name: 'tp_btf',
    road: 'link with a cookie',
    run: (world) =>
      measure(world, {
        program: 'count_tp_btf',
        attach: (program) => program.attachTrace({ cookie: 13n }),
        fire: getppid,
        check: sawCookie(13n),
      }),
  },
  ...(['fentry', 'fexit'] as const).map(
    (name): Case => ({
      group: 'tracing',
      name,
      road: 'RAW_TRACEPOINT_OPEN',
      event: 'a nap of the test',
      forbidden: 'EPERM',
      run: (world) =>
        measure(world, { program: `count_${name}`, attach: (program) => program.attach(), fire: nap }),
    }),
  ),
  {
    group: 'tracing',
    name: 'fentry.multi',
    road: 'link',
    event: 'a nap of the test',
    since: '7.2',
    run: (world) =>
      measure(world, {
        program: 'count_fentry_multi',
        attach: (program) => program.attachTraceMulti({ symbols: ['do_nanosleep'] }),
        fire: nap,
      }),
  },
  {
    group: 'tracing',
    name: 'fmod_ret',
    road: 'RAW_TRACEPOINT_OPEN',
    event: 'a test run',
    forbidden: 'EPERM',
    run: (world) =>
      measure(world, { program: 'count_fmod_ret', attach: (program) => program.attach(), fire: getppid }),
  },
  {
    group: 'tracing',
    name: 'lsm',
    road: 'RAW_TRACEPOINT_OPEN',
    event: 'opening a file',
    config: 'CONFIG_BPF_LSM',
    forbidden: 'EPERM',
    run: (world) =>
      measure(world, {
        program: 'count_lsm',
        attach: (program) => program.attach(),
        fire: () => spec('replace'),
      }),
  },
  {
    group: 'tracing',
    name: 'freplace',
    road: 'link',
    event: "a test run of the replaced function's program",
    forbidden: 'EPERM',
    run: (world) => {
      using replaced = loadObject(world.kernel, spec('hooks'), {
        programs: ['calls_replaceable'],
        maps: 'used',
      });
      const caller = replaced.program('calls_replaceable');
      using object = loadObject(world.kernel, spec('replace'), {
        program: { count_freplace: { attachProg: caller.fd } },
      });
      const data = new Uint8Array(64);
      const link = object.program('count_freplace').attachFreplace();
      must(caller.test({ data }).retval === 7, "it is not the new function's answer");
      const fired = runsOf(object);
      link.close();
      must(caller.test({ data }).retval === 0, "it is not the old function's answer");
      return { before: 0, fired, after: runsOf(object) - fired };
    },
  },
  ...(['kprobe', 'kretprobe'] as const).map(
    (name): Case => ({
      ...NAP,
      name,
      road: 'perf event and link',
      run: (world) =>
        measure(world, { program: `count_${name}`, attach: (program) => program.attach(), fire: nap }),
    }),
  ),
  {
    ...NAP,
    name: 'ksyscall',
    road: 'perf event and link',
    event: 'a system call of the test',
    run: (world) =>
      measure(world, { program: 'count_ksyscall', attach: (program) => program.attach(), fire: getppid }),
  },
  ...(['kprobe_multi', 'kretprobe_multi', 'kprobe_session'] as const).map(
    (name): Case => ({
      ...NAP,
      name,
      road: 'link',
      config: 'CONFIG_FPROBE',
      run: (world) =>
        measure(world, {
          program: `count_${name}`,
          attach: (program) => program.attachKprobeMulti({ symbols: ['do_nanosleep'] }),
          fire: nap,
        }),
    }),
  ),
  {
    group: 'tracing',
    name: 'perf_event, sampling',
    road: 'perf event and link',
    event: '60 ms of work at 1 kHz',
    run: (world) =>
      measure(world, {
        program: 'count_perf_event',
        attach: (program) => program.attachSampling({ frequency: 1000, pid: process.pid, cookie: 1n }),
        fire: busy,
      }),
  },
  {
    group: 'tracing',
    name: 'perf_event, page faults',
    road: 'perf event and ioctl',
    event: 'memory that is touched for the first time',
    run: (world) =>
      measure(world, {
        program: 'count_perf_event',
        attach: (program) =>
          program.attachPerfEvent(
            {
              type: PERF_TYPES.PERF_TYPE_SOFTWARE,
              config: PERF_SOFTWARE.PERF_COUNT_SW_PAGE_FAULTS,
              sample_period: 1,
              pid: process.pid,
            },
            { mode: 'ioctl' },
          ),
        fire: () => Buffer.alloc(8 << 20, 1),
      }),
  },
  {
    group: 'tracing',
    name: 'lirc_mode2',
    road: 'PROG_ATTACH',
    event: 'an infrared signal',
    config: 'CONFIG_BPF_LIRC_MODE2',
    run: (world) => {
      using object = load(world, 'count_lirc');
      using _link = object.program('count_lirc').attachLirc('/dev/lirc0');
      return { before: 0, fired: 0, after: 0 };
    },
  },
  userCase(
    'uprobe',
    'perf event and link',
    'count_uprobe',
    (object) => object.program('count_uprobe').attachUprobe(TARGET, { symbol: 'probed' }, { cookie: 21n }),
    sawCookie(21n),
  ),
  userCase('uprobe, by address', 'perf event and ioctl', 'count_uprobe', (object) =>
    object.program('count_uprobe').attachUprobe(TARGET, { address: addressOf('probed') }, { mode: 'ioctl' }),
  ),
  userCase('uretprobe', 'perf event and link', 'count_uretprobe', (object) =>
    object.program('count_uretprobe').attachUprobe(TARGET, { symbol: 'probed_too' }),
  ),
  userCase('uprobe_multi, by pattern', 'link', 'count_uprobe_multi', (object) =>
    object.program('count_uprobe_multi').attachUprobeMulti(TARGET, { pattern: 'probed*' }),
  ),
  userCase(
    'uprobe_multi, with cookies',
    'link',
    'count_uprobe_multi',
    (object) => {
      const link = object
        .program('count_uprobe_multi')
        .attachUprobeMulti(TARGET, [{ symbol: 'probed' }], { cookies: [31n] });
      const info = link.info();
      must(
        info.type === 'uprobe_multi' && info.cookies[0] === 31n && info.offsets.length === 1,
        'the link tells another',
      );
      return link;
    },
    sawCookie(31n),
  ),
  userCase('uretprobe_multi', 'link', 'count_uretprobe_multi', (object) =>
    object.program('count_uretprobe_multi').attachUprobeMulti(TARGET, { pattern: 'probed' }),
  ),
  userCase('uprobe_session', 'link', 'count_uprobe_session', (object) =>
    object.program('count_uprobe_session').attachUprobeMulti(TARGET, { pattern: 'probed' }),
  ),
  {
    ...USER,
    name: 'USDT, with arguments and semaphore',
    road: 'perf events and links',
    run: (world) => {
      using object = loadObject(world.kernel, spec('usdt'));
      must(target() === 0, 'someone listens already');
      const link = object.program('count_usdt').attachUsdt(TARGET, 'skep', 'work', { cookie: 41n });
      must(target() === 1, 'the semaphore was not raised');
      const fired = runsOf(object);
      must(cookieOf(object) === 41n, `the program saw cookie ${cookieOf(object)}`);
      const args = new DataView(object.readVariable('args').buffer);
      const seen = [0, 8, 16, 24].map((at) => args.getBigInt64(at, true));
      const wanted = [1n, 0x1122334455667787n, -5n, 7n];
      must(seen.join() === wanted.join(), `the program saw the arguments ${seen.join()}`);
      link.close();
      must(target() === 0, 'the semaphore stayed up');
      return {
        before: 0,
        fired,
        after: runsOf(object) - fired,
        note: 'arguments, cookie and semaphore as expected',
      };
    },
  },
];

/** As the file's symbols have it. */
function addressOf(name: string): bigint {
  const { symbols } = readElf(new Uint8Array(readFileSync(TARGET)), TARGET);
  return BigInt(symbols.find((symbol) => symbol.name === name)?.value ?? 0);
}

const ITER = { group: 'iterator', road: 'link and ITER_CREATE', event: 'a reading' } as const;

function iteratorCase(
  name: string,
  program: string,
  options: (
    world: World,
    object: LoadedObject,
  ) => Parameters<ReturnType<LoadedObject['program']>['attachIterator']>[0],
  expected: (world: World, text: string, object: LoadedObject) => boolean,
): Case {
  return {
    ...ITER,
    name,
    run: (world) => {
      using object = loadObject(world.kernel, spec('iterators'), { programs: [program] });
      const link = object.program(program).attachIterator(options(world, object));
      const text = link.text();
      const fired = runsOf(object);
      must(expected(world, text, object), `it read ${JSON.stringify(text)}`);
      must(link.text() === text || program === 'list_maps', 'a second reading differs');
      const all = runsOf(object);
      link.close();
      return { before: 0, fired, after: runsOf(object) - all };
    },
  };
}

export const ITERATORS: readonly Case[] = [
  iteratorCase(
    'bpf_map',
    'list_maps',
    () => ({}),
    (_, text, object) => text.includes(`map ${object.map('numbers').info().id}\n`),
  ),
  iteratorCase(
    'bpf_map_elem of a map',
    'list_elements',
    (world, object) => {
      const { fd } = object.map('numbers');
      const value = new Uint8Array(BigUint64Array.of(99n).buffer);
      world.kernel.bpf.map_update_elem({ map_fd: fd, key: Uint8Array.of(5, 0, 0, 0), value });
      return { map: fd };
    },
    (_, text) => text === '5: 99\n',
  ),
  iteratorCase(
    'task of a thread',
    'list_tasks',
    () => ({ task: { tid: process.pid } }),
    (_, text) => text === `task ${process.pid} of ${process.pid}\n`,
  ),
  iteratorCase(
    'cgroup itself',
    'list_cgroups',
    (world) => ({ cgroup: { path: world.cgroup, order: 'self' } }),
    (_, text) => /^cgroup \d+\n$/.test(text),
  ),
];
