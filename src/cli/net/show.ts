import { InputError } from '../../base/error.ts';
import {
  type AttachType,
  type Filter,
  type Kernel,
  linkDetails,
  type NetDevice,
  type ProgId,
  type ProgQueryResult,
} from '../../sys/index.ts';
import type { Call } from '../grammar/call.ts';
import { attempt, errnoOf, Usage } from '../grammar/refusal.ts';
import { everyLink, fullName, infoOf } from '../grammar/selectors.ts';
import { netfilterFields, netfilterText } from '../link/names.ts';
import type { World } from '../world/world.ts';
import { takeDevice } from './device.ts';

const NAMESPACE = '/proc/self/ns/net';
/** What bpftool calls the modes of XDP. */
const MODES = { generic: 'generic', native: 'driver', offload: 'offload' } as const;
/** Chains of programs on a device that are asked for by bpf(2). */
const CHAINS: readonly (readonly [type: AttachType, kind: string])[] = [
  ['tcx_ingress', 'tcx/ingress'],
  ['tcx_egress', 'tcx/egress'],
  ['netkit_primary', 'netkit/primary'],
  ['netkit_peer', 'netkit/peer'],
];
/** Where classifiers hang that have no queueing discipline of that number. */
const PARENTS = [
  [0xffff_ffff, 'root'],
  ['ingress', 'clsact/ingress'],
  ['egress', 'clsact/egress'],
] as const;
const BITS = 32;

/** `net show [dev NAME]`. */
export async function showNet(call: Call): Promise<void> {
  const { words } = call;
  if (words.left !== 0 && words.left !== 2) throw new Usage();
  const world = await call.world();
  const only = words.left === 2 ? takeDevice(call, world) : undefined;
  const dissector = flowDissector(world.kernel);
  const devices = world.kernel.net
    .device_list()
    .filter(({ ifindex }) => only === undefined || ifindex === only);
  const listing = new Listing(call, world);
  const { json } = call.out;
  json?.startArray().startObject();
  listing.section('xdp', () => {
    for (const device of devices) listing.xdp(device);
  });
  listing.section('tc', () => {
    for (const device of devices) {
      for (const [type, kind] of CHAINS) listing.chain(device, type, kind);
      listing.classifiers(device);
    }
  });
  listing.section('flow_dissector', () => {
    if (dissector === undefined) return;
    if (json) json.startObject().field('id', dissector).endObject();
    else call.out.print(`id ${dissector}`);
  });
  listing.section('netfilter', () => listing.netfilter());
  json?.endObject().endArray();
}

/** The program that takes packets' headers apart in this network namespace. */
function flowDissector(kernel: Kernel): ProgId | undefined {
  try {
    const target_fd = kernel.files.open(NAMESPACE);
    const [id] = kernel.bpf.prog_query({ target_fd, attach_type: 'flow_dissector' }).prog_ids;
    kernel.closeFd(target_fd);
    return id;
  } catch (error) {
    const errno = errnoOf(error);
    // A kernel without network namespaces, or one that can't be asked.
    if (errno === 'EINVAL' || errno === 'ENOENT' || errno === 'EOPNOTSUPP') return undefined;
    return attempt("can't query prog", () => {
      throw error;
    });
  }
}

class Listing {
  readonly #call: Call;
  readonly #world: World;

  constructor(call: Call, world: World) {
    this.#call = call;
    this.#world = world;
  }

  section(name: string, list: () => void): void {
    const { json } = this.#call.out;
    if (json) json.name(name).startArray();
    else this.#call.out.print(`${name}:\n`);
    list();
    if (json) json.endArray();
    else this.#call.out.print('\n');
  }

  /** Begins an entry: its device. */
  #start({ name, ifindex }: NetDevice): void {
    const { out } = this.#call;
    if (out.json) out.json.startObject().field('devname', name).field('ifindex', ifindex);
    else out.print(`${name}(${ifindex})`);
  }

  #field(name: string, value: string | number, text: string): void {
    const { out } = this.#call;
    if (out.json) out.json.field(name, value);
    else out.print(text);
  }

  #end(): void {
    const { out } = this.#call;
    if (out.json) out.json.endObject();
    else out.print('\n');
  }

  xdp(device: NetDevice): void {
    const { xdp } = device;
    if (xdp.length === 0) return;
    const { json } = this.#call.out;
    const several = xdp.length > 1;
    this.#start(device);
    if (several) json?.name('multi_attachments').startArray();
    for (const { mode, prog_id } of xdp) {
      if (several) json?.startObject();
      this.#field('mode', MODES[mode], ` ${MODES[mode]}`);
      this.#field('id', prog_id, ` id ${prog_id}`);
      if (several) json?.endObject();
    }
    if (several) json?.endArray();
    this.#end();
  }

  chain(device: NetDevice, type: AttachType, kind: string): void {
    const { kernel } = this.#world;
    let found: ProgQueryResult;
    try {
      found = kernel.bpf.prog_query({ target_ifindex: device.ifindex, attach_type: type });
    } catch (error) {
      // Devices that are of another kind, and kernels without such chains.
      if (error instanceof InputError) return;
      throw error;
    }
    for (const [i, id] of found.prog_ids.entries()) {
      this.#start(device);
      this.#field('kind', kind, ` ${kind}`);
      const name = this.#programName(id);
      if (name !== undefined) this.#field('name', name, ` ${name}`);
      this.#field('prog_id', id, ` prog_id ${id} `);
      this.#flags('prog_flags', found.prog_attach_flags[i] ?? 0);
      const link = found.link_ids[i] ?? 0;
      if (link !== 0 || this.#call.out.json) {
        this.#field('link_id', link, `link_id ${link} `);
        this.#flags('link_flags', 0);
      }
      this.#end();
    }
  }

  #flags(name: string, flags: number): void {
    const { json } = this.#call.out;
    if (flags === 0 && !json) return;
    if (json) json.name(name).startArray();
    else this.#call.out.print(`${name} `);
    for (let bit = 0; bit < BITS; bit++) {
      const flag = (1 << bit) >>> 0;
      if ((flags & flag) === 0) continue;
      if (json) json.value(flag);
      else this.#call.out.print(`${flag} `);
    }
    json?.endArray();
  }

  #programName(prog_id: ProgId): string | undefined {
    const { kernel } = this.#world;
    try {
      const fd = kernel.bpf.prog_get_fd_by_id({ prog_id });
      const info = infoOf(kernel, fd, 'prog');
      const name = info.name === '' ? undefined : fullName(kernel, info);
      kernel.closeFd(fd);
      return name;
    } catch {
      // It ended meanwhile.
      return undefined;
    }
  }

  classifiers(device: NetDevice): void {
    const { net } = this.#world.kernel;
    const { ifindex } = device;
    for (const { kind, handle } of net.qdisc_list({ ifindex })) {
      if (kind === 'clsact' || handle === 0) continue;
      for (const filter of net.filter_list({ ifindex, parent: handle }))
        this.#classifier(device, kind, filter);
    }
    for (const [parent, kind] of PARENTS) {
      for (const filter of this.#filters(ifindex, parent)) this.#classifier(device, kind, filter);
    }
  }

  /** None where the device has no such place. */
  #filters(ifindex: number, parent: (typeof PARENTS)[number][0]): readonly Filter[] {
    try {
      return this.#world.kernel.net.filter_list({ ifindex, parent });
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === 'EINVAL' || errno === 'ENOENT' || errno === 'EOPNOTSUPP') return [];
      throw error;
    }
  }

  #classifier(device: NetDevice, kind: string, { bpf }: Filter): void {
    if (!bpf) return;
    this.#start(device);
    this.#field('kind', kind, ` ${kind}`);
    if (bpf.name !== '') this.#field('name', bpf.name, ` ${bpf.name}`);
    this.#field('id', bpf.prog_id, ` id ${bpf.prog_id}`);
    this.#end();
  }

  /** In the order of family, hook, priority. */
  netfilter(): void {
    const { kernel } = this.#world;
    const { out } = this.#call;
    const links = [];
    for (const { fd, info } of everyLink(kernel)) {
      kernel.closeFd(fd);
      const details = linkDetails(info);
      if (details.type === 'netfilter') links.push({ info, details });
    }
    links.sort(
      (a, b) =>
        a.details.pf - b.details.pf ||
        a.details.hooknum - b.details.hooknum ||
        a.details.priority - b.details.priority ||
        a.details.flags - b.details.flags,
    );
    for (const { info, details } of links) {
      out.json?.startObject();
      if (!out.json) out.print(`\n\t${netfilterText(details)}`);
      for (const [name, value] of netfilterFields(details)) out.json?.field(name, value);
      this.#field('id', info.prog_id, ` prog_id ${info.prog_id}`);
      out.json?.endObject();
    }
  }
}
