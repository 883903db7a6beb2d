import { InputError } from '../base/error.ts';
import type { Fd, Kernel, LinkCreateAttr, ProgType } from '../sys/index.ts';
import type { PoisonedRelo } from './core-patch.ts';
import type { MapSpec, ObjectSpec, ProgramSpec } from './spec.ts';

/** A program that is in the kernel. */
export interface LoadedProgram {
  readonly name: string;
  readonly fd: Fd;
  readonly type: ProgType;
  readonly spec: ProgramSpec;
  /** The verifier's log, when one was asked for. */
  readonly log: string;
  /** CO-RE records that the kernel's types do not satisfy, in code that is never reached. */
  readonly poisoned: readonly PoisonedRelo[];
}

/** A map that is in the kernel. */
export interface LoadedMap {
  readonly name: string;
  readonly fd: Fd;
  readonly spec: MapSpec;
  /** As created; the spec's unless the caller or the map type asked for another. */
  readonly maxEntries: number;
}

/** What {@link LoadedObject} is made of. */
export interface LoadedParts {
  readonly kernel: Kernel;
  readonly spec: ObjectSpec;
  readonly programs: ReadonlyMap<string, LoadedProgram>;
  readonly maps: ReadonlyMap<string, LoadedMap>;
  readonly btfFd: Fd | undefined;
  readonly btfProblem: InputError | undefined;
  /** What is closed with the object. */
  readonly fds: readonly Fd[];
}

/** An object whose maps and programs are in a kernel. Closing it lets go of them; what is pinned or attached stays. */
export class LoadedObject {
  readonly kernel: Kernel;
  readonly spec: ObjectSpec;
  readonly programs: ReadonlyMap<string, LoadedProgram>;
  readonly maps: ReadonlyMap<string, LoadedMap>;
  /** The object's BTF in the kernel, if it took it. */
  readonly btfFd: Fd | undefined;
  /** Why the kernel refused the object's BTF; the programs are then loaded without lines and types. */
  readonly btfProblem: InputError | undefined;
  /** Attachments made through {@link attach}, by program name. */
  readonly links = new Map<string, Fd>();
  readonly #fds: Fd[];

  constructor(parts: LoadedParts) {
    this.kernel = parts.kernel;
    this.spec = parts.spec;
    this.programs = parts.programs;
    this.maps = parts.maps;
    this.btfFd = parts.btfFd;
    this.btfProblem = parts.btfProblem;
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

  /**
   * Attaches a program by a link, which {@link close} lets go of. Programs whose section says where they belong
   * (tracepoints by BTF, functions, LSM hooks) need no target; the others take what LINK_CREATE takes.
   */
  attach(name: string, target: Omit<LinkCreateAttr, 'prog_fd' | 'attach_type'> = {}): Fd {
    const { fd, spec, type } = this.program(name);
    const raw = type === 'raw_tracepoint' || type === 'raw_tracepoint_writable';
    const tracing = type === 'lsm' || (type === 'tracing' && spec.attach !== 'trace_iter');
    let link: Fd;
    if (raw || (tracing && spec.attach !== 'lsm_cgroup')) {
      const tracepoint = raw ? spec.target : undefined;
      if (raw && tracepoint === undefined) {
        throw new InputError(
          'loader-attach',
          `${this.spec.file}: section ${spec.section} names no tracepoint`,
        );
      }
      link = this.kernel.bpf.raw_tracepoint_open({
        prog_fd: fd,
        ...(tracepoint === undefined ? {} : { name: tracepoint }),
      });
    } else if (spec.attach !== undefined) {
      link = this.kernel.bpf.link_create({ ...target, prog_fd: fd, attach_type: spec.attach });
    } else {
      throw new InputError(
        'loader-attach',
        `${this.spec.file}: program ${name} (${type}) is not attached by a link of bpf(2)`,
      );
    }
    this.#fds.push(link);
    this.links.set(name, link);
    return link;
  }

  /** Lets go of the links, programs, maps and BTF. */
  close(): void {
    for (const fd of this.#fds.splice(0).reverse()) this.kernel.closeFd(fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
