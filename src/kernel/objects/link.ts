import type { LinkType } from '../../sys/tables.ts';
import { KernelObject } from './object.ts';
import type { Program } from './program.ts';

/** What connects a program with where it runs. It ends with its last descriptor or pin. */
export abstract class Link extends KernelObject<'link'> {
  abstract readonly type: LinkType;

  constructor() {
    super('link');
  }

  abstract get program(): Program;
  /** The type's tail of `struct bpf_link_info`. */
  abstract tail(): Uint8Array;
  /** What the tail points to. */
  get text(): string | undefined {
    return undefined;
  }

  override releaseUser(): void {}
}
