/** `BPF_PROG_TEST_RUN` of XDP programs: on one packet, or on live frames. @see net/bpf/test_run.c, bpf_prog_test_run_xdp */
import { errnoName } from '../../sys/errno.ts';
import { TEST_RUN_FLAGS } from '../../sys/flags.ts';
import { XDP_MD_LAYOUT } from '../programs/index.ts';
import type { NetDevice } from './device.ts';
import { ETH_HLEN, type PacketRunner } from './runner.ts';
import { contextIn, execute, faulted, type Outcome, type Request, refuse } from './test-run.ts';
import {
  FRAME_SIZE,
  metadataLengthInvalid,
  SHARED_INFO_ROOM,
  XDP_HEADROOM,
  type XdpBuff,
} from './xdp-buff.ts';

const XDP_FRAME_SIZE = 40;
/** Frames of a batch where the caller does not say, and the most: `NAPI_POLL_WEIGHT`, `TEST_XDP_MAX_BATCH`. */
const MAX_BATCH = 256;
/** Bytes of a live frame's page that hold its contexts: `sizeof(struct xdp_page_head)`. */
const PAGE_HEAD = 112;

export function runOnXdp(request: Request, runner: PacketRunner, xdp: XdpBuff): Outcome {
  const { program, data, kernel } = request;
  const live = isLive(request);
  const md = contextIn(request, XDP_MD_LAYOUT.size);
  const { metaLength, linear } = readMetadata(request, md, live);
  if (live) {
    const room = FRAME_SIZE - XDP_HEADROOM - PAGE_HEAD - SHARED_INFO_ROOM + metaLength;
    if (data.length > Math.min(linear, room)) {
      const most = Math.min(linear, room);
      throw refuse(
        program,
        'EINVAL',
        `a live frame is linear: it has at most ${most} bytes, not ${data.length}`,
      );
    }
  }
  if (data.length - metaLength < ETH_HLEN) {
    throw refuse(
      program,
      'EINVAL',
      `the packet has ${data.length - metaLength} bytes, fewer than ${ETH_HLEN}`,
    );
  }
  const { device = kernel.devices.loopback, queue } = receiver(request, md);
  const frameSize = live ? FRAME_SIZE - PAGE_HEAD : FRAME_SIZE;
  const status = xdp.load(data, metaLength, linear, device, queue, frameSize);
  if (status !== 0) {
    throw refuse(program, errnoName(-status)!, `the packet of ${data.length} bytes does not fit in a frame`);
  }
  if (live) return runLive(request, runner, xdp, md);
  const run = execute(request, runner);
  const { bytes, linear: linearOut } = xdp.packet();
  if (md) {
    XDP_MD_LAYOUT.patch(new DataView(md.buffer), 0, {
      data: xdp.data - xdp.dataMeta,
      data_end: xdp.dataEnd - xdp.dataMeta,
    });
  }
  return { ...run, packet: bytes, fragBytes: bytes.length - linearOut, ctx: md };
}

/** Whether live frames are asked for. @throws InputError for flags and a batch size that can't be */
function isLive({ program, attr }: Request): boolean {
  const attach = program.facts.expectedAttachType;
  if (attach === 'xdp_devmap' || attach === 'xdp_cpumap') {
    throw refuse(program, 'EINVAL', `a program for ${attach} has no packet of its own to run on`);
  }
  const flags = attr.flags ?? 0;
  const live = (flags & TEST_RUN_FLAGS.BPF_F_TEST_XDP_LIVE_FRAMES) !== 0;
  if (flags & ~TEST_RUN_FLAGS.BPF_F_TEST_XDP_LIVE_FRAMES || (attr.batch_size && !live)) {
    throw refuse(program, 'EINVAL', 'only live frames take flags or a batch size');
  }
  if ((attr.batch_size ?? 0) > MAX_BATCH) {
    throw refuse(program, 'E2BIG', `a batch has at most ${MAX_BATCH} frames, not ${attr.batch_size}`);
  }
  return live;
}

/**
 * Runs the program on as many frames as were asked for: each is the packet anew, in a page that was used before. What it
 * lets pass or redirects has nowhere to go, since no device of this kernel receives anything; what it says and makes of the
 * frames is not told to the caller either.
 */
function runLive(
  { program, repeat, kernel }: Request,
  runner: PacketRunner,
  xdp: XdpBuff,
  md: Outcome['ctx'],
): Outcome {
  const { clock } = kernel.machine;
  const { bytes } = xdp.packet();
  const { bounds } = xdp;
  const begin = clock.monotonic();
  for (let frame = 0; frame < repeat; frame++) {
    xdp.bounds = bounds;
    if (runner.execute() === undefined) throw faulted(program, runner.fault!);
  }
  const duration = Number((clock.monotonic() - begin) / BigInt(repeat));
  return { retval: 0, duration, packet: bytes, ctx: md };
}

/** How much of the data is metadata, and how much goes into the frame. */
function readMetadata(
  { program, attr, data, dataOutSize }: Request,
  md: Uint8Array | undefined,
  live: boolean,
): { readonly metaLength: number; readonly linear: number } {
  if (!md) return { metaLength: 0, linear: data.length };
  const context = XDP_MD_LAYOUT.read(new DataView(md.buffer), 0);
  const { data: metaLength, data_end, data_meta } = context;
  if (live && (dataOutSize > 0 || attr.ctx_size_out)) {
    throw refuse(program, 'EINVAL', 'nothing comes back of live frames that have a context');
  }
  if (
    data_meta !== 0 ||
    data_end > data.length ||
    metaLength > data_end ||
    metadataLengthInvalid(metaLength) ||
    metaLength > XDP_HEADROOM - XDP_FRAME_SIZE
  ) {
    throw refuse(
      program,
      'EINVAL',
      `the context's data_meta ${data_meta}, data ${metaLength} and data_end ${data_end} ` +
        `don't describe ${data.length} bytes of packet`,
    );
  }
  return { metaLength, linear: data_end };
}

/** The device and queue that the context says the packet came in by. */
function receiver(
  { program, kernel }: Request,
  md: Uint8Array | undefined,
): { readonly device?: NetDevice; readonly queue: number } {
  if (!md) return { queue: 0 };
  const { ingress_ifindex, rx_queue_index, egress_ifindex } = XDP_MD_LAYOUT.read(new DataView(md.buffer), 0);
  if (egress_ifindex !== 0) throw refuse(program, 'EINVAL', 'the context has an egress_ifindex');
  if (ingress_ifindex === 0) {
    if (rx_queue_index !== 0) throw refuse(program, 'EINVAL', 'the context has a queue but no device');
    return { queue: 0 };
  }
  const device = kernel.devices.get(ingress_ifindex);
  if (!device) throw refuse(program, 'ENODEV', `there is no device ${ingress_ifindex}`);
  if (rx_queue_index >= device.rxQueues) {
    throw refuse(program, 'EINVAL', `device ${device.name} has no queue ${rx_queue_index}`);
  }
  return { device, queue: rx_queue_index };
}
