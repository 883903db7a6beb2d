import { InputError } from '../base/error.ts';
import type { Fd, Kernel, ProgType } from '../sys/index.ts';
import { type AttachOptions, autoAttach } from './attach/auto.ts';
import type { Link, LinkOwner } from './attach/link.ts';
import type { LoadedMap } from './map.ts';
import type { LoadedProgram } from './program.ts';
import type { ObjectSpec } from './spec.ts';

/** The links of an object's programs, in the order of their making. */
export class Links implements LinkOwner {
  readonly #links = new Set<Link>();

  add(link: Link): void {
    this.#links.add(link);
  }

  remove(link: Link): void {
    this.#links.delete(link);
  }

  [Symbol.iterator](): IterableIterator<Link> {
    return this.#links.values();
  }

  get size(): number {
    return this.#links.size;
  }

  /** The youngest first. @throws what the first failing one throws, after all were closed */
  close(): void {
    let failure: unknown;
    for (const link of [...this.#links].reverse()) {
      try {
        link.close();
      } catch (error) {
        failure ??= error;
      }
    }
    this.#links.clear();
    if (failure !== undefined) throw failure;
  }
}

/** Types that need a place to be attached to. */
const PLACED: ReadonlySet<ProgType> = new Set<ProgType>([
  'kprobe',
  'tracepoint',
  'raw_tracepoint',
  'raw_tracepoint_writable',
]);

/** What {@link LoadedObject} is made of. */
export interface LoadedParts {
  readonly kernel: Kernel;
  readonly spec: ObjectSpec;
  readonly programs: ReadonlyMap<string, LoadedProgram>;
  readonly maps: ReadonlyMap<string, LoadedMap>;
  readonly btfFd: Fd | undefined;
  readonly btfProblem: InputError | undefined;
  readonly links: Links;
  /** What is closed with the object. */
  readonly fds: readonly Fd[];
}

/**
 * An object whose maps and programs are in a kernel. Closing it lets go of them and takes its programs off what they were
 * attached to; what is pinned stays.
 */
export class LoadedObject {
  readonly kernel: Kernel;
  readonly spec: ObjectSpec;
  readonly programs: ReadonlyMap<string, LoadedProgram>;
  readonly maps: ReadonlyMap<string, LoadedMap>;
  /** The object's BTF in the kernel, if it took it. */
  readonly btfFd: Fd | undefined;
  /** Why the kernel refused the object's BTF; the programs are then loaded without lines and types. */
  readonly btfProblem: InputError | undefined;
  /** What its programs are attached by. */
  readonly links: Links;
  readonly #fds: Fd[];

  constructor(parts: LoadedParts) {
    this.kernel = parts.kernel;
    this.spec = parts.spec;
    this.programs = parts.programs;
    this.maps = parts.maps;
    this.btfFd = parts.btfFd;
    this.btfProblem = parts.btfProblem;
    this.links = parts.links;
    this.#fds = [...parts.fds];
  }

  /** A program by name. @throws InputError naming those that there are */
  program(name: string): LoadedProgram {
    return this.#named(this.programs, name, 'program');
  }

  /** A map by name; global data is in `.rodata`, `.data` and `.bss`. @throws InputError naming those that there are */
  map(name: string): LoadedMap {
    return this.#named(this.maps, name, 'map');
  }

  #named<T>(all: ReadonlyMap<string, T>, name: string, what: string): T {
    const found = all.get(name);
    if (found !== undefined) return found;
    const names = [...all.keys()].join(', ') || 'none';
    throw new InputError(
      'loader-name',
      `${this.spec.file}: no ${what} ${name} is loaded; there are: ${names}`,
    );
  }

  /** The bytes that a global variable has now. */
  readVariable(name: string): Uint8Array {
    const { variable, value } = this.#variable(name);
    return value.slice(variable.offset, variable.offset + variable.size);
  }

  /** Changes a global variable of a loaded object; those in `.rodata` can't be. */
  writeVariable(name: string, bytes: Uint8Array): void {
    const { variable, value, map } = this.#variable(name);
    if (bytes.length > variable.size) {
      throw new InputError(
        'loader-variable',
        `${this.spec.file}: variable ${name} has ${variable.size} bytes; ${bytes.length} do not fit`,
      );
    }
    value.fill(0, variable.offset, variable.offset + variable.size);
    value.set(bytes, variable.offset);
    this.kernel.bpf.map_update_elem({ map_fd: map.fd, key: new Uint8Array(4), value });
  }

  #variable(name: string) {
    const variable = this.#named(this.spec.variables, name, 'variable');
    const map = this.map(variable.map);
    const value = this.kernel.bpf.map_lookup_elem({ map_fd: map.fd, key: new Uint8Array(4) });
    if (!value) throw new InputError('loader-variable', `${this.spec.file}: map ${map.name} has no value`);
    return { variable, map, value };
  }

  /** Attaches a program to what its section's name says; the options say the rest (a device, a control group). */
  attach(name: string, options?: AttachOptions): Link {
    return this.program(name).attach(options);
  }

  /**
   * Attaches every program whose section's name says all that is needed, and registers every table of functions: all, or
   * none. @returns the links by the name of the program or map
   */
  attachAll(options?: AttachOptions): ReadonlyMap<string, Link> {
    const links = new Map<string, Link>();
    try {
      for (const program of this.programs.values()) {
        // What traces an open-ended iterator or replaces a function is auto too; what has no place yet is not.
        const auto =
          autoAttach(program) !== undefined && (program.target !== undefined || !PLACED.has(program.type));
        if (auto) links.set(program.name, program.attach(options));
      }
      for (const map of this.maps.values()) {
        if (map.spec.structOps) links.set(map.name, map.attachStructOps());
      }
    } catch (error) {
      for (const link of [...links.values()].reverse()) link.close();
      throw error;
    }
    return links;
  }

  /** Lets go of the links, programs, maps and BTF. */
  close(): void {
    try {
      this.links.close();
    } finally {
      for (const fd of this.#fds.splice(0).reverse()) this.kernel.closeFd(fd);
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
