import { InputError } from '../../base/error.ts';
import { type Kernel, TASK_FD_TYPES, type TaskFdQueryResult } from '../../sys/index.ts';
import type { Call } from '../grammar/call.ts';
import { errnoOf, strerror } from '../grammar/refusal.ts';

const PROC = '/proc';

/** `perf show`: the perf events and raw tracepoints of all processes that programs run at. */
export async function showPerf(call: Call): Promise<void> {
  const { out } = call;
  const { kernel } = await call.world();
  probe(kernel);
  out.json?.startArray();
  try {
    for (const pid of numbersIn(kernel, PROC)) {
      for (const fd of numbersIn(kernel, `${PROC}/${pid}/fd`)) {
        const found = query(kernel, pid, fd);
        if (found) show(call, pid, fd, found);
      }
    }
  } finally {
    out.json?.endArray();
  }
}

/** The entries of a folder whose names are numbers; none of a process that ended or is another's. */
function numbersIn(kernel: Kernel, folder: string): number[] {
  try {
    const entries = kernel.files.read_directory(folder) ?? [];
    return entries.filter(({ name }) => /^\d+$/.test(name)).map(({ name }) => Number(name));
  } catch {
    return [];
  }
}

/** @throws InputError where the kernel lets no one ask */
function probe(kernel: Kernel): void {
  try {
    kernel.bpf.task_fd_query({ pid: process.pid, fd: 0 });
  } catch (error) {
    if (errnoOf(error) !== 'EPERM') return;
    throw new InputError('cli-perf', `perf_query_support: ${strerror(error)}`, {
      cause: error,
      detail: "HINT: non root or kernel doesn't support TASK_FD_QUERY",
    });
  }
}

/** `undefined` for a descriptor that no program runs at, and one that is not ours to ask about. */
function query(kernel: Kernel, pid: number, fd: number): TaskFdQueryResult | undefined {
  try {
    return kernel.bpf.task_fd_query({ pid, fd });
  } catch (error) {
    if (error instanceof InputError) return undefined;
    throw error;
  }
}

function show({ out }: Call, pid: number, fd: number, found: TaskFdQueryResult): void {
  const { json } = out;
  const type = TASK_FD_TYPES[found.fd_type];
  const { prog_id, name, probe_offset, probe_addr } = found;
  const start = () => `pid ${pid}  fd ${fd}: prog_id ${prog_id}  ${type}  `;
  if (json) {
    json.startObject().field('pid', pid).field('fd', fd).field('prog_id', prog_id);
    if (type !== undefined) json.field('fd_type', type);
  }
  switch (type) {
    case 'raw_tracepoint':
    case 'tracepoint':
      if (json) json.field('tracepoint', name);
      else out.print(`${start()}${name}\n`);
      break;
    case 'kprobe':
    case 'kretprobe':
      if (json && name !== '') json.field('func', name).field('offset', probe_offset);
      else if (json) json.field('addr', probe_addr);
      else if (name !== '') out.print(`${start()}func ${name}  offset ${probe_offset}\n`);
      else out.print(`${start()}addr ${probe_addr}\n`);
      break;
    case 'uprobe':
    case 'uretprobe':
      if (json) json.field('filename', name).field('offset', probe_offset);
      else out.print(`${start()}filename ${name}  offset ${probe_offset}\n`);
      break;
    default:
      break;
  }
  json?.endObject();
}
