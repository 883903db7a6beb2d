/** `BPF_PROG_TEST_RUN` of flow dissectors and of programs that look sockets up. @see net/bpf/test_run.c */
import { PROGRAMS, SK_LOOKUP_LAYOUT } from '../programs/index.ts';
import { FieldView } from './field-view.ts';
import { ObjectContext } from './object-context.ts';
import { engineOf } from './runner.ts';
import { SkBuff } from './sk-buff.ts';
import { BPF_FLOW_DISSECTOR, BPF_SK_LOOKUP_KERN, SK_BUFF } from './structs.ts';
import { contextIn, type Outcome, type Request, refuse } from './test-run.ts';

const ETH_HLEN = 14;
/** `struct bpf_flow_keys`: bytes, and offsets of what is known before the program runs. */
const KEYS = { size: 56, networkOffset: 0, transportOffset: 2, protocol: 10, flags: 48 } as const;
const KNOWN_FLAGS = 7;
/** A page, with nothing in front of the packet or behind it. */
const MAX_PACKET = 4096;
const AF_INET = 2;
const AF_INET6 = 10;

function refuseFlags({ program, attr }: Request): void {
  if (attr.flags || attr.cpu || attr.batch_size) {
    throw refuse(program, 'EINVAL', 'it takes no flags, CPU or batch size');
  }
}

/** Runs the program as often as was asked for. @param before makes the context ready, each time */
function repeated(request: Request, context: SkBuff | ObjectContext, before: () => void): [number, number] {
  const { program, kernel, repeat } = request;
  const { clock, grace } = kernel.machine;
  const engine = engineOf(kernel, program);
  const begin = clock.monotonic();
  let retval: number | undefined;
  grace.enter();
  try {
    for (let i = 0; i < repeat; i++) {
      before();
      retval = engine.run(context, 1);
      if (retval === undefined) throw refuse(program, 'EFAULT', engine.problem?.problem ?? 'it faulted');
    }
  } finally {
    grace.leave();
    engine.close();
  }
  return [retval ?? 0, Number((clock.monotonic() - begin) / BigInt(repeat))];
}

/** The keys that the program found come back as the packet. */
export function runFlowDissector(request: Request): Outcome {
  const { program, data, kernel } = request;
  refuseFlags(request);
  if (data.length < ETH_HLEN || data.length > MAX_PACKET) {
    const reason = `the packet has ${data.length} bytes, fewer than ${ETH_HLEN} or more than ${MAX_PACKET}`;
    throw refuse(program, 'EINVAL', reason);
  }
  const given = contextIn(request, KEYS.size);
  const flags = given ? new DataView(given.buffer).getUint32(KEYS.flags, true) : 0;
  const others = given?.some((byte, i) => byte !== 0 && (i < KEYS.flags || i >= KEYS.flags + 4));
  if (others || flags & ~KNOWN_FLAGS) {
    throw refuse(program, 'EINVAL', 'of the keys only the three known flags can be given');
  }
  const { memory } = kernel.machine;
  const packet = new SkBuff(memory, new FieldView(PROGRAMS.flow_dissector.context, undefined));
  const keys = memory.allocate(KEYS.size, { kind: 'mem', owner: 'flow keys', access: 'rw' });
  try {
    packet.load(data, kernel.devices.loopback, false);
    packet.dataOnly = true;
    const cb = packet.addr + SK_BUFF.members.cb.offset;
    memory.writeU64(cb + BPF_FLOW_DISSECTOR.members.flow_keys.offset, BigInt(keys));
    const [retval, duration] = repeated(request, packet, () => {
      memory.fill(keys, KEYS.size, 0);
      memory.view.setUint16(keys + KEYS.networkOffset, ETH_HLEN, true);
      memory.view.setUint16(keys + KEYS.transportOffset, ETH_HLEN, true);
      memory.u8.set(data.subarray(12, 14), keys + KEYS.protocol);
      memory.writeU32(keys + KEYS.flags, flags);
    });
    const clamp = (offset: number, least: number): number => {
      const value = Math.max(least, Math.min(data.length, memory.view.getUint16(keys + offset, true)));
      memory.view.setUint16(keys + offset, value, true);
      return value;
    };
    clamp(KEYS.transportOffset, clamp(KEYS.networkOffset, ETH_HLEN));
    return { retval, duration, packet: memory.read(keys, KEYS.size), ctx: given };
  } finally {
    packet.close();
    memory.free(keys);
  }
}

/** There are no sockets to be chosen: the program's answer is all there is. */
export function runSkLookup(request: Request): Outcome {
  const { program, attr, kernel } = request;
  refuseFlags(request);
  if (attr.data_in?.length || attr.data_size_out) {
    throw refuse(program, 'EINVAL', 'it takes a context, and no packet');
  }
  const given = contextIn(request, SK_LOOKUP_LAYOUT.size);
  if (!given) throw refuse(program, 'EINVAL', 'it needs a context');
  const asked = SK_LOOKUP_LAYOUT.read(new DataView(given.buffer), 0);
  const { sk, family, protocol, local_port: port } = asked;
  if (sk !== 0n || asked.ingress_ifindex !== 0) {
    throw refuse(program, 'EINVAL', 'the socket and the interface of the context must be zero');
  }
  if (port > 0xffff) throw refuse(program, 'ERANGE', `there is no port ${port}`);
  if ((family & 0xffff) !== AF_INET && (family & 0xffff) !== AF_INET6) {
    throw refuse(program, 'EAFNOSUPPORT', `addresses of family ${family} are not known`);
  }
  const { memory } = kernel.machine;
  const view = new FieldView(PROGRAMS.sk_lookup.context, undefined);
  const context = new ObjectContext(memory, view, BPF_SK_LOOKUP_KERN.size);
  try {
    BPF_SK_LOOKUP_KERN.patch(memory.view, context.addr, {
      family: family & 0xffff,
      protocol: protocol & 0xffff,
      sport: asked.remote_port,
      dport: port,
      v4: family === AF_INET ? { saddr: asked.remote_ip4, daddr: asked.local_ip4 } : { saddr: 0, daddr: 0 },
      v6:
        family === AF_INET6
          ? { saddr: asked.remote_ip6, daddr: asked.local_ip6 }
          : { saddr: [0, 0, 0, 0], daddr: [0, 0, 0, 0] },
    });
    const [retval, duration] = repeated(request, context, () => undefined);
    return { retval: retval === 0 ? 0 : 1, duration, packet: new Uint8Array(), ctx: given };
  } finally {
    context.close();
  }
}
