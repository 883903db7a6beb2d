/** What is attached to the kernel's functions. */
import type { AttachType } from '../../sys/tables.ts';
import { KernelObject } from './object.ts';
import type { Program } from './program.ts';

export type TraceKind = Extract<AttachType, 'trace_fentry' | 'trace_fexit' | 'modify_return'>;

export interface Attached {
  readonly program: Program;
  readonly kind: TraceKind;
  /** What `bpf_get_attach_cookie` answers. */
  readonly cookie: bigint;
}

/** Where functions would be, if they had addresses: 16 bytes apart. */
const TEXT = 0xffff_ffff_8100_0000n;

/** Functions that exist to be traced, by name. @see net/bpf/test_run.c */
const FUNCTIONS: readonly string[] = [
  ...Array.from({ length: 10 }, (_, i) => `bpf_fentry_test${i + 1}`),
  'bpf_modify_return_test',
  'bpf_modify_return_test2',
];

export class Traced {
  readonly #byName = new Map<string, Attached[]>();

  /** Whether something calls the function. */
  has(name: string): boolean {
    return FUNCTIONS.includes(name);
  }

  address(name: string): bigint {
    return TEXT + 16n * BigInt(FUNCTIONS.indexOf(name));
  }

  of(name: string): readonly Attached[] {
    return this.#byName.get(name) ?? [];
  }

  /** @returns what detaches it */
  attach(name: string, attached: Attached): () => void {
    this.#byName.set(name, [...this.of(name), attached]);
    return () => {
      const rest = this.of(name).filter((one) => one !== attached);
      this.#byName.set(name, rest);
    };
  }
}

/** An attachment to a function: it ends with its last descriptor. */
export class TracingLink extends KernelObject<'link'> {
  readonly attached: Attached;
  readonly #detach: () => void;

  constructor(traced: Traced, name: string, attached: Attached) {
    super('link');
    this.attached = attached;
    attached.program.hold();
    this.#detach = traced.attach(name, attached);
  }

  override releaseUser(): void {}

  override destroy(): void {
    this.#detach();
    this.attached.program.release();
  }
}
