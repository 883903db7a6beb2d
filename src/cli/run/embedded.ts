import { createKernel, type EmbeddedKernel } from '../../kernel/index.ts';
import type { LoadedObject } from '../../loader/index.ts';
import type { Fd } from '../../sys/index.ts';
import type { KernelChoice, ObservedKernel } from './kernel.ts';
import type { RecordCount } from './report.ts';
import { makeThread } from './threads.ts';

/** A kernel of this process's own. */
export function openEmbedded({ btf, interpret, cpus }: KernelChoice): ObservedKernel {
  const lines: string[] = [];
  const kernel = createKernel({
    trace: (line) => lines.push(line),
    interpret,
    cpus,
    shared: cpus > 1,
    ...(btf && { btf }),
  });
  return {
    kernel,
    trace: () => lines,
    watch: (object) => watch(kernel, object),
    captureRun: (program, { source, ...options }) =>
      cpus === 1
        ? kernel.captureRun(program, options)
        : kernel.parallelRun(program, { ...options, ...(source && { source }), threads: makeThread }),
  };
}

interface Buffer {
  readonly name: string;
  readonly type: 'ringbuf' | 'perf_event_array';
  /** The map itself, or a perf buffer's events. */
  readonly fds: readonly Fd[];
  records: number;
  bytes: number;
  lost: number;
}

function watch(kernel: EmbeddedKernel, object: LoadedObject) {
  const buffers = [...object.maps.values()].flatMap(({ name, fd, spec: { type } }): Buffer[] => {
    if (type !== 'ringbuf' && type !== 'perf_event_array') return [];
    const fds = type === 'ringbuf' ? [fd] : kernel.openPerfBuffer(fd);
    return [{ name, type, fds, records: 0, bytes: 0, lost: 0 }];
  });
  const drain = () => {
    for (const buffer of buffers) {
      for (const fd of buffer.fds) take(kernel, buffer, fd);
    }
  };
  return {
    drain,
    counts: () => {
      drain();
      return buffers.map(
        ({ name, type, records, bytes, lost }): RecordCount => ({ map: name, type, records, bytes, lost }),
      );
    },
  };
}

function take(kernel: EmbeddedKernel, buffer: Buffer, fd: Fd): void {
  if (buffer.type === 'ringbuf') {
    for (const record of kernel.ringRecords(fd)) {
      buffer.records++;
      buffer.bytes += record.length;
    }
    return;
  }
  for (const record of kernel.perfRecords(fd)) {
    if (record.kind === 'lost') buffer.lost += record.count;
    else {
      buffer.records++;
      buffer.bytes += record.data.length;
    }
  }
}
