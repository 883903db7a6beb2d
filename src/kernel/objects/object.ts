import { Bug } from '../../base/error.ts';

export type ObjectKind = 'map' | 'prog' | 'btf' | 'link' | 'stats' | 'perf_event' | 'cgroup' | 'netns';

/**
 * A thing with identity and a lifetime: it lives as long as something holds it. File descriptors and pins hold it as
 * users; programs, links and maps that refer to it hold it too, but are no users.
 */
export abstract class KernelObject<K extends ObjectKind = ObjectKind> {
  readonly kind: K;
  /** Counts up from 1 within the kind, as Linux's; 0 before it is published. */
  id = 0;
  #refs = 0;
  #users = 0;
  /** Told when the last reference is gone. */
  onEnd: (() => void) | undefined;

  /** Told when the last file descriptor or pin is gone. */
  onUserEnd: (() => void) | undefined;

  constructor(kind: K) {
    this.kind = kind;
  }

  hold(): this {
    this.#refs += 1;
    return this;
  }

  release(): void {
    if (this.#refs <= 0) throw new Bug(`${this.kind} ${this.id} is released more often than it was held`);
    this.#refs -= 1;
    if (this.#refs > 0) return;
    this.onEnd?.();
    this.destroy();
  }

  /** File descriptors and pins that hold it. */
  get users(): number {
    return this.#users;
  }

  /** A file descriptor or a pin. */
  holdAsUser(): this {
    this.#users += 1;
    return this.hold();
  }

  releaseAsUser(): void {
    this.#users -= 1;
    if (this.#users === 0) {
      this.onUserEnd?.();
      this.releaseUser();
    }
    this.release();
  }

  /** The last file descriptor or pin is gone. */
  abstract releaseUser(): void;
  /** The last reference is gone. */
  abstract destroy(): void;
}
