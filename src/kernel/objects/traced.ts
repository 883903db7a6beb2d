/** What is attached to the kernel's functions. */

import { struct, u32, u64 } from '../../base/layout.ts';
import { attachTypeId } from '../../sys/attach-types.ts';
import type { AttachType } from '../../sys/tables.ts';
import { Link } from './link.ts';
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

const TRACING = struct({ attach_type: u32, target_obj_id: u32, target_btf_id: u32, cookie: u64 });

/** An attachment to a function: it ends with its last descriptor. */
export class TracingLink extends Link {
  readonly type = 'tracing';
  readonly attached: Attached;
  readonly #detach: () => void;

  constructor(traced: Traced, name: string, attached: Attached) {
    super();
    this.attached = attached;
    attached.program.hold();
    this.#detach = traced.attach(name, attached);
  }

  get program(): Program {
    return this.attached.program;
  }

  tail(): Uint8Array {
    const bytes = new Uint8Array(48);
    const { program, kind, cookie } = this.attached;
    TRACING.write(new DataView(bytes.buffer), 0, {
      attach_type: attachTypeId(kind),
      // The kernel's own types are the first BTF that there is.
      target_obj_id: 1,
      target_btf_id: program.facts.attachBtfId,
      cookie,
    });
    return bytes;
  }

  override destroy(): void {
    this.#detach();
    this.attached.program.release();
  }
}
