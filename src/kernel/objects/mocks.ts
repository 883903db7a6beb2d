/** What a caller has put in the place of helpers and kernel functions: tests say so what a program sees. */
import type { HelperImpl } from '../interpreter/environment.ts';

/** Replacements by name: a helper's without `bpf_` (`ktime_get_ns`), a kernel function's as it is (`bpf_strcmp`). */
export class Mocks {
  readonly #byName = new Map<string, HelperImpl>();
  readonly #listeners = new Set<() => void>();

  get(name: string): HelperImpl | undefined {
    return this.#byName.size === 0 ? undefined : this.#byName.get(name);
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /** Replaces a function from the next call on. @param call `undefined` puts the kernel's own back */
  set(name: string, call: HelperImpl | undefined): void {
    if (call) this.#byName.set(name, call);
    else this.#byName.delete(name);
    for (const listener of this.#listeners) listener();
  }

  clear(): void {
    this.#byName.clear();
    for (const listener of this.#listeners) listener();
  }

  /** Tells of each change: code that was made for the functions before is out of date. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }
}
