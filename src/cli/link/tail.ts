/** What a link's information says beyond its type and program: the union in `struct bpf_link_info`. */
import { attachTypeName, type LinkInfo } from '../../sys/index.ts';

/** A member as bpftool prints it: with its name in JSON, and how it stands in text. */
export interface TailField {
  readonly name: string;
  readonly value: string | number | bigint | boolean;
  /** In text, two blanks after it; begins with a line break and a tab where it stands on a line of its own. Absent: not shown there. */
  readonly text?: string;
}

const LINE = '\n\t';

class Reader {
  readonly #view: DataView;

  constructor({ raw }: LinkInfo) {
    this.#view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  }

  #has(offset: number, size: number): boolean {
    return offset + size <= this.#view.byteLength;
  }

  u32(offset: number): number {
    return this.#has(offset, 4) ? this.#view.getUint32(offset, true) : 0;
  }

  i32(offset: number): number {
    return this.u32(offset) | 0;
  }

  u64(offset: number): bigint {
    return this.#has(offset, 8) ? this.#view.getBigUint64(offset, true) : 0n;
  }
}

/** What a field needs from around the kernel. */
export interface TailNames {
  readonly deviceName: (index: number) => string | undefined;
  /** Type of the link's program. */
  readonly progType: () => string;
}

function attach(id: number): TailField {
  const value = attachTypeName(id) ?? id;
  return { name: 'attach_type', value, text: `attach_type ${value}` };
}

function device(index: number, names: TailNames): TailField[] {
  const name = names.deviceName(index) ?? '(detached)';
  return [
    { name: 'devname', value: name, text: `${LINE}ifindex ${index === 0 ? name : `${name}(${index})`}` },
    { name: 'ifindex', value: index },
  ];
}

const PF = new Map([
  [2, 'ip'],
  [10, 'ip6'],
]);
const INET_HOOKS = ['prerouting', 'input', 'forward', 'output', 'postrouting'];
const MAP_TARGETS = new Set(['bpf_map_elem', 'bpf_sk_storage_map']);
const CGROUP_ORDERS = ['order_unspec', 'self_only', 'descendants_pre', 'descendants_post', 'ancestors_up'];

function iter(at: Reader, text: string): TailField[] {
  const fields: TailField[] = [{ name: 'target_name', value: text, text: `${LINE}target_name ${text}` }];
  if (MAP_TARGETS.has(text)) fields.push({ name: 'map_id', value: at.u32(12), text: `map_id ${at.u32(12)}` });
  if (text === 'cgroup') {
    const order = CGROUP_ORDERS[at.u32(24)] ?? at.u32(24);
    fields.push({ name: 'cgroup_id', value: at.u64(16), text: `cgroup_id ${at.u64(16)}` });
    fields.push({ name: 'order', value: order, text: `order ${order}` });
  }
  if (text.startsWith('task')) {
    if (at.u32(16) !== 0) fields.push({ name: 'tid', value: at.u32(16), text: `tid ${at.u32(16)}` });
    else if (at.u32(20) !== 0) fields.push({ name: 'pid', value: at.u32(20), text: `pid ${at.u32(20)}` });
  }
  return fields;
}

function netfilter(at: Reader): TailField[] {
  const [pf, hook, priority, flags] = [at.u32(0), at.u32(4), at.i32(8), at.u32(12)];
  const family = PF.get(pf) ?? `pf: ${pf}`;
  const hookName = INET_HOOKS[hook] ?? `hook ${hook}`;
  return [
    { name: 'pf', value: pf },
    { name: 'hook', value: hook },
    { name: 'prio', value: priority },
    {
      name: 'flags',
      value: flags,
      text: `${LINE}${family} ${hookName} prio ${priority}${flags === 0 ? '' : ` flags 0x${flags.toString(16)}`}`,
    },
  ];
}

/** `enum bpf_perf_event_type`. */
const PERF = { uprobe: 1, uretprobe: 2, kprobe: 3, kretprobe: 4, tracepoint: 5, event: 6 } as const;

function perfEvent(at: Reader, text: string): TailField[] {
  const kind = at.u32(0);
  const cookie = (offset: number): TailField[] =>
    at.u64(offset) === 0n
      ? []
      : [{ name: 'bpf_cookie', value: at.u64(offset), text: `cookie ${at.u64(offset)}` }];
  switch (kind) {
    case PERF.uprobe:
    case PERF.uretprobe: {
      const retprobe = kind === PERF.uretprobe;
      return [
        { name: 'retprobe', value: retprobe },
        { name: 'file', value: text },
        {
          name: 'offset',
          value: at.u32(20),
          text: `${LINE}${retprobe ? 'uretprobe' : 'uprobe'} ${text}+0x${at.u32(20).toString(16)}`,
        },
        ...cookie(24),
      ];
    }
    case PERF.kprobe:
    case PERF.kretprobe: {
      const retprobe = kind === PERF.kretprobe;
      const offset = at.u32(20) === 0 ? '' : `+0x${at.u32(20).toString(16)}`;
      return [
        { name: 'retprobe', value: retprobe },
        { name: 'addr', value: at.u64(24) },
        { name: 'func', value: text },
        {
          name: 'offset',
          value: at.u32(20),
          text: `${LINE}${retprobe ? 'kretprobe' : 'kprobe'} ${at.u64(24).toString(16)} ${text}${offset}`,
        },
        { name: 'missed', value: at.u64(32) },
        ...cookie(40),
      ];
    }
    case PERF.tracepoint:
      return [{ name: 'tracepoint', value: text, text: `${LINE}tracepoint ${text}` }, ...cookie(24)];
    case PERF.event:
      return [
        { name: 'event_type', value: at.u32(16) },
        {
          name: 'event_config',
          value: at.u64(8),
          text: `${LINE}event ${at.u32(16)}:${at.u64(8)}`,
        },
        ...cookie(24),
      ];
    default:
      return [];
  }
}

/** The fields of a link's tail, in bpftool's order. */
export function linkTail(info: LinkInfo, names: TailNames): readonly TailField[] {
  const at = new Reader(info);
  const text = info.text ?? '';
  switch (info.type) {
    case 'raw_tracepoint':
      return [{ name: 'tp_name', value: text, text: `${LINE}tp '${text}'` }];
    case 'tracing': {
      const type = names.progType();
      const [object, target] = [at.u32(4), at.u32(8)];
      return [
        { name: 'prog_type', value: type, text: `${LINE}prog_type ${type}` },
        attach(at.u32(0)),
        { name: 'target_obj_id', value: object },
        {
          name: 'target_btf_id',
          value: target,
          ...((object !== 0 || target !== 0) && {
            text: `${LINE}target_obj_id ${object}  target_btf_id ${target}`,
          }),
        },
      ];
    }
    case 'cgroup':
      return [
        { name: 'cgroup_id', value: at.u64(0), text: `${LINE}cgroup_id ${at.u64(0)}` },
        attach(at.u32(8)),
      ];
    case 'iter':
      return iter(at, text);
    case 'netns':
      return [
        { name: 'netns_ino', value: at.u32(0), text: `${LINE}netns_ino ${at.u32(0)}` },
        attach(at.u32(4)),
      ];
    case 'xdp':
      return device(at.u32(0), names);
    case 'tcx':
    case 'netkit':
      return [...device(at.u32(0), names), attach(at.u32(4))];
    case 'struct_ops':
      return [{ name: 'map_id', value: at.u32(0), text: `${LINE}map_id ${at.u32(0)}` }];
    case 'sockmap':
      return [{ name: 'map_id', value: at.u32(0), text: `${LINE}map_id ${at.u32(0)}` }, attach(at.u32(4))];
    case 'netfilter':
      return netfilter(at);
    case 'kprobe_multi': {
      const retprobe = (at.u32(12) & 1) !== 0;
      const kind = retprobe ? 'kretprobe.multi' : 'kprobe.multi';
      const missed = at.u64(16);
      return [
        { name: 'retprobe', value: retprobe },
        {
          name: 'func_cnt',
          value: at.u32(8),
          text: `${LINE}${kind}  func_cnt ${at.u32(8)}${missed === 0n ? '' : `  missed ${missed}`}`,
        },
        { name: 'missed', value: missed },
      ];
    }
    case 'uprobe_multi': {
      const retprobe = (at.u32(40) & 1) !== 0;
      const kind = retprobe ? 'uretprobe.multi' : 'uprobe.multi';
      return [
        { name: 'retprobe', value: retprobe },
        { name: 'path', value: text, text: `${LINE}${kind}  path ${text}` },
        { name: 'func_cnt', value: at.u32(36), text: `func_cnt ${at.u32(36)}` },
        { name: 'pid', value: at.u32(44), ...(at.u32(44) !== 0 && { text: `pid ${at.u32(44)}` }) },
      ];
    }
    case 'perf_event':
      return perfEvent(at, text);
    case 'tracing_multi':
      return [];
  }
}
