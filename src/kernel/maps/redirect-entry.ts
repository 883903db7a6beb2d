/** What the maps that packets are redirected by hold: a number and optionally a program that the packet goes through. */
import { Program } from '../objects/program.ts';
import { u32 } from './array.ts';
import { errno, type MapHost, type MapShape, type Status } from './map.ts';

/** Maps that `bpf_redirect_map` takes. */
export interface RedirectMap {
  /** Whether there is something to redirect to. */
  hasTarget(key: number): boolean;
  /** Flags of `bpf_redirect_map` that it knows, beside the action for a key that leads nowhere. */
  readonly redirectFlags: bigint;
}

/** An entry of a device or CPU map; it holds its program. */
export interface RedirectEntry {
  /** Number of the device, or size of the queue. */
  readonly number: number;
  readonly program: Program | undefined;
}

/** `struct bpf_devmap_val` and `struct bpf_cpumap_val`: the number, and the program's descriptor or id. */
export const ENTRY_SIZE = 8;

/** What user space asks for. */
export interface WantedEntry {
  readonly number: number;
  /** A descriptor; below 1 is none. */
  readonly programFd: number;
}

export function wantedEntry(value: Uint8Array): WantedEntry {
  const programFd = value.length < ENTRY_SIZE ? -1 : u32(value.subarray(4)) | 0;
  return { number: u32(value), programFd };
}

/** The entry's value as programs and user space see it. */
export function entryBytes({ number, program }: RedirectEntry): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Uint32Array.of(number, program?.id ?? 0).buffer);
}

/** The program behind a descriptor, if it was made for entries of this type of map; `undefined` where none is wanted. */
export function entryProgram(host: MapHost, { type }: MapShape, fd: number): Program | undefined | Status {
  if (fd <= 0) return undefined;
  const object = host.objectAt(fd);
  const attach = type === 'cpumap' ? 'xdp_cpumap' : 'xdp_devmap';
  const fits = object instanceof Program && object.facts.expectedAttachType === attach;
  return fits ? object : errno('EINVAL');
}
