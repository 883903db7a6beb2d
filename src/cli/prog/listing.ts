/** A program's instructions as the kernel gives them back, with what stands beside them: functions, lines, names. */
import { type Btf, type BtfTypeId, parseBtf } from '../../btf/index.ts';
import {
  type KernelNames,
  readSlot,
  type Slot,
  slotCount,
  xlatedInsn,
  xlatedSlots,
} from '../../isa/index.ts';
import { helperName, type Kernel, type ProgInfo } from '../../sys/index.ts';
import { attempt } from '../grammar/refusal.ts';
import type { World } from '../world/world.ts';
import { signature } from './signature.ts';

export interface SourceLine {
  readonly text: string;
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** One instruction. */
export interface ListedInsn {
  readonly index: number;
  /** Slots that it takes. */
  readonly slots: 1 | 2;
  readonly slot: Slot;
  readonly bytes: Uint8Array;
  readonly text: string;
  /** The function that begins here. */
  readonly proto?: string;
  /** The line of source that begins here. */
  readonly source?: SourceLine;
}

/** `struct bpf_func_info`, `struct bpf_line_info`. */
const FUNC_RECORD = 8;
const LINE_RECORD = 16;
/** `BPF_PSEUDO_…` of a 64-bit load and of a call. */
const PSEUDO = { mapFd: 1, mapValue: 2, func: 4, mapIdxValue: 6, call: 1, kfunc: 2 } as const;

/** A program's own types, or `undefined`. */
export function programTypes(kernel: Kernel, info: ProgInfo): Btf | undefined {
  if (info.btf_id === 0) return undefined;
  const fd = attempt('failed to get btf', () => kernel.bpf.btf_get_fd_by_id({ btf_id: info.btf_id }));
  const found = kernel.bpf.obj_get_info_by_fd({ bpf_fd: fd });
  kernel.closeFd(fd);
  return found.kind === 'btf' ? parseBtf(found.btf, `BTF ${info.btf_id}`) : undefined;
}

function protos(btf: Btf | undefined, records: Uint8Array): ReadonlyMap<number, string> {
  const view = new DataView(records.buffer, records.byteOffset, records.length);
  const found = new Map<number, string>();
  for (let at = 0; btf && at + FUNC_RECORD <= records.length; at += FUNC_RECORD) {
    found.set(view.getUint32(at, true), signature(btf, view.getUint32(at + 4, true) as BtfTypeId));
  }
  return found;
}

function sources(btf: Btf | undefined, records: Uint8Array): ReadonlyMap<number, SourceLine> {
  const view = new DataView(records.buffer, records.byteOffset, records.length);
  const found = new Map<number, SourceLine>();
  for (let at = 0; btf && at + LINE_RECORD <= records.length; at += LINE_RECORD) {
    const place = view.getUint32(at + 12, true);
    found.set(view.getUint32(at, true), {
      text: btf.strings.get(view.getUint32(at + 8, true), 'a line of source').trimStart(),
      file: btf.strings.get(view.getUint32(at + 4, true), 'a file of source'),
      line: place >>> 10,
      column: place & 0x3ff,
    });
  }
  return found;
}

/** Names of what the instructions refer to, as the kernel that gave them sees it. */
class Names {
  readonly #world: World;
  readonly #subprograms: readonly bigint[];
  readonly #base: bigint | undefined;

  constructor(world: World, info: ProgInfo) {
    this.#world = world;
    this.#subprograms = info.jited?.ksyms ?? [];
    this.#base = world.symbolAddress('__bpf_call_base');
  }

  /** What stands for a call: on Linux a place in the kernel, on the embedded one a helper's number. */
  #call(slot: Slot): string {
    if (slot.src === PSEUDO.call) return this.#local(slot);
    if (this.#world.kernel.name === 'embedded') {
      const name = slot.src === PSEUDO.kfunc ? 'kernel-function' : (helperName(slot.imm) ?? 'unknown');
      return `${name}#${slot.imm}`;
    }
    const address = (this.#base ?? 0n) + BigInt(slot.imm);
    const name = this.#world.symbolAt(address) ?? `0x${BigInt.asUintN(64, address).toString(16)}`;
    return `${name}#${slot.imm}`;
  }

  #local(slot: Slot): string {
    const off = slot.off < 0 ? String(slot.off) : `+${slot.off}`;
    if (this.#subprograms.length === 0) return `pc${off}`;
    const address = this.#subprograms[slot.imm] ?? (this.#base ?? 0n) + BigInt(slot.imm);
    return `pc${off}#${this.#world.symbolAt(address) ?? `0x${address.toString(16)}`}`;
  }

  of(slot: Slot, next: Slot | undefined): KernelNames {
    return {
      call: () => this.#call(slot),
      imm64: () => {
        const low = slot.imm >>> 0;
        const high = (next?.imm ?? 0) >>> 0;
        switch (slot.src) {
          case PSEUDO.mapFd:
            return `map[id:${low}]`;
          case PSEUDO.mapValue:
            return `map[id:${low}][0]+${high}`;
          case PSEUDO.mapIdxValue:
            return `map[idx:${low}]+${high}`;
          case PSEUDO.func:
            return `subprog[${slot.imm < 0 ? '' : '+'}${slot.imm}]`;
          default:
            return `0x${((BigInt(high) << 32n) | BigInt(low)).toString(16)}`;
        }
      },
    };
  }
}

/** The instructions of a program, from first to last. */
export function listProgram(world: World, info: ProgInfo, btf: Btf | undefined): readonly ListedInsn[] {
  const insns = info.xlated_prog_insns;
  const names = new Names(world, info);
  const functions = protos(btf, info.func_info);
  const lines = sources(btf, info.line_info);
  const listed: ListedInsn[] = [];
  const count = slotCount(insns);
  for (let index = 0; index < count; ) {
    const slot = readSlot(insns, index);
    const next = index + 1 < count ? readSlot(insns, index + 1) : undefined;
    const slots = xlatedSlots(slot);
    const proto = functions.get(index);
    const source = lines.get(index);
    listed.push({
      index,
      slots,
      slot,
      bytes: insns.subarray(index * 8, (index + slots) * 8),
      text: xlatedInsn(slot, next, names.of(slot, next)),
      ...(proto !== undefined && proto !== '' && { proto }),
      ...(source !== undefined && { source }),
    });
    index += slots;
  }
  return listed;
}
