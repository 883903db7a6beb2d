import { PROG_LOAD_FLAGS } from '../../sys/flags.ts';
import type { ProgType } from '../../sys/prog-types.ts';
import { Program } from '../objects/program.ts';
import { errno, type Status } from './map.ts';
import { ObjectArray } from './object-array.ts';

/** Programs to tail-call. All of them, and all that call them through this map, are of one make. */
export class ProgArrayMap extends ObjectArray<Program> {
  /** The first program that had to do with the map says what fits it. */
  #owner: { readonly type: ProgType; readonly frags: boolean; readonly attach: string } | undefined;

  /** The type of its programs, once one has to do with it. */
  get ownerType(): ProgType | undefined {
    return this.#owner?.type;
  }

  /** The program in a slot. */
  program(index: number): Program | undefined {
    return this.slot(index);
  }

  protected admit(fd: number): Program | Status {
    const object = this.host.objectAt(fd);
    if (object === undefined) return errno('EBADF');
    if (!(object instanceof Program)) return errno('EINVAL');
    return object.facts.type !== 'ext' && this.fits(object.facts) ? object : errno('EINVAL');
  }

  /** Whether a program may call or be called through this map. The first that asks decides for the others. */
  fits(facts: Pick<Program['facts'], 'type' | 'flags' | 'expectedAttachType'>): boolean {
    const make = {
      type: facts.type,
      frags: (facts.flags & PROG_LOAD_FLAGS.BPF_F_XDP_HAS_FRAGS) !== 0,
      attach: facts.expectedAttachType ?? '',
    };
    this.#owner ??= make;
    return (
      this.#owner.type === make.type && this.#owner.frags === make.frags && this.#owner.attach === make.attach
    );
  }

  /** Without it a program that calls itself through the map would hold itself for ever. */
  override releaseUser(): void {
    this.clearAll();
  }
}
