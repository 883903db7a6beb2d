/**
 * Loads an {@link ObjectSpec} into a kernel: BTF, maps, relocation, programs. Either everything that was asked for is in
 * the kernel, or nothing.
 */
import { InputError } from '../base/error.ts';
import { type Btf, CoreRelocator, parseBtf } from '../btf/index.ts';
import {
  type AttachType,
  attachTypeName,
  type Fd,
  type Kernel,
  MAP_CREATE_FLAGS,
  PROG_LOAD_FLAGS,
  type ProgLoadAttr,
  type ProgType,
} from '../sys/index.ts';
import { findTarget } from './attach-target.ts';
import { applyCoreRelos, POISON_IMM, type PoisonedRelo } from './core-patch.ts';
import {
  type CreatedMap,
  createMap,
  fillMaps,
  fillStructOps,
  type MapContext,
  type MapOptions,
  own,
  pinMaps,
  putFd,
} from './create-maps.ts';
import { kernelName } from './data-maps.ts';
import { globalData } from './globals.ts';
import { KernelTypes } from './kernel-types.ts';
import { type LinkedProgram, linkProgram } from './link.ts';
import { LoadedMap } from './map.ts';
import { Links, LoadedObject } from './object.ts';
import { LoadedProgram } from './program.ts';
import { relocateProgram } from './relocate.ts';
import { kernelVersion, type ResolvedExtern, resolveExterns } from './resolve-externs.ts';
import { sanitizeBtf } from './sanitize-btf.ts';
import { type Prepared, selectPrograms, usedMaps } from './select.ts';
import type { ObjectSpec, ProgramSpec } from './spec.ts';
import type { VariableValue } from './variable.ts';

/** What the caller may say about one program. */
export interface ProgramOptions {
  readonly type?: ProgType;
  readonly attach?: AttachType;
  /** Instead of what the section's name says: a function, a tracepoint. */
  readonly target?: string;
  /** The program that is traced or replaced, when it is not the kernel. */
  readonly attachProg?: Fd;
  /** Device that the program is bound to, by index. */
  readonly ifindex?: number;
  /** The device only tells the program what it received; the program runs in the kernel. */
  readonly metadataOnly?: boolean;
}

/** What the caller may say about loading. */
export interface LoadOptions extends MapOptions {
  /** The programs to load, and with them those that their maps start with; default all whose section has no `?`. */
  readonly programs?: readonly string[];
  /** `used`: only the maps that the programs to be loaded refer to, and those inside them; default all. */
  readonly maps?: 'all' | 'used';
  /** Type of the programs whose section's name says none (iproute2's objects). */
  readonly type?: ProgType;
  /** By program name. */
  readonly program?: Readonly<Record<string, ProgramOptions>>;
  /** Programs to load (`true`) or not (`false`) where their section says otherwise. */
  readonly autoload?: Readonly<Record<string, boolean>>;
  /** Values of global variables, by name: numbers, bigints, booleans, or bytes. */
  readonly globals?: Readonly<Record<string, VariableValue>>;
  /** The kernel's types for CO-RE, where they are not the running kernel's: parsed, or the path of a file. */
  readonly btf?: Btf | string;
  /** What allows a user without capabilities to load: a token, or the path of a BPF file system that delegates. */
  readonly token?: Fd | string;
  /** Bits of the verifier's log level for programs that load; one that is refused always has its log. */
  readonly logLevel?: number;
  /** Bytes for the log. */
  readonly logSize?: number;
}

/**
 * Loads an object.
 *
 * @throws InputError when the kernel lacks or refuses something; nothing is left behind. A verifier's refusal names
 * the program, carries the errno, and has the log as `detail`.
 */
export function loadObject(kernel: Kernel, spec: ObjectSpec, options: LoadOptions = {}): LoadedObject {
  const fds: Fd[] = [];
  const types = new KernelTypes(kernel);
  try {
    return new Loader(kernel, spec, options, types, fds).load();
  } catch (error) {
    for (const fd of fds.reverse()) kernel.closeFd(fd);
    throw error;
  } finally {
    types.close();
  }
}

class Loader {
  readonly #kernel: Kernel;
  readonly #spec: ObjectSpec;
  readonly #options: LoadOptions;
  readonly #types: KernelTypes;
  readonly #fds: Fd[];
  #btfFd: Fd | undefined;
  #btfProblem: InputError | undefined;
  #describesFunctions = true;
  #relocator: CoreRelocator | undefined;
  #token: Fd | undefined;
  readonly #links = new Links();
  /** Filled while maps are made, and shared by the programs. */
  readonly #maps = new Map<string, LoadedMap>();

  constructor(kernel: Kernel, spec: ObjectSpec, options: LoadOptions, types: KernelTypes, fds: Fd[]) {
    this.#kernel = kernel;
    this.#spec = spec;
    this.#options = options;
    this.#types = types;
    this.#fds = fds;
  }

  load(): LoadedObject {
    const spec = this.#spec;
    if (!spec.littleEndian) {
      throw new InputError(
        'loader-byte-order',
        `${spec.file}: the object is big-endian, the kernel is not; compile with --target=bpfel`,
      );
    }
    const prepared = selectPrograms(spec, this.#options.programs, this.#options.autoload).map(
      (program): Prepared => ({ spec: program, linked: linkProgram(spec, program) }),
    );
    for (const { spec: program } of prepared) this.#typeOf(program);
    const wanted = new Set<string>();
    for (const { linked } of prepared) {
      for (const ref of linked.refs)
        if (ref.kind === 'extern' || ref.kind === 'kfunc') wanted.add(ref.extern);
    }
    const { externs, kconfig } = resolveExterns(this.#kernel, this.#types, spec, wanted);

    const data = globalData(spec, this.#options.globals);
    this.#openToken();
    this.#loadBtf();
    const context: MapContext = {
      kernel: this.#kernel,
      types: this.#types,
      spec,
      btfFd: this.#btfFd,
      options: this.#options,
      kconfig,
      data,
      token: this.#token,
      own: (fd) => this.#own(fd),
    };
    const maps = new Map<string, CreatedMap>();
    const needed = this.#options.maps === 'used' ? usedMaps(spec, prepared) : undefined;
    for (const map of spec.maps.values()) {
      const asked = own(this.#options.autocreate, map.name);
      if (!(asked ?? map.structOps?.autocreate ?? true)) continue;
      if (asked === undefined && needed && !needed.has(map.name)) continue;
      maps.set(map.name, createMap(context, map));
    }
    fillMaps(this.#kernel, maps);

    const programs = new Map<string, LoadedProgram>();
    for (const map of maps.values()) this.#maps.set(map.spec.name, this.#loadedMap(context, map, programs));
    for (const { spec: program, linked } of prepared) {
      programs.set(program.name, this.#loadProgram(program, linked, maps, externs));
    }
    this.#fillPrograms(maps, programs);
    for (const map of maps.values()) {
      // A table without a link is registered by its update, which is attaching it.
      const ops = map.owned ? map.spec.structOps : undefined;
      if (ops?.link && ops.funcs.every((f) => programs.has(f.program))) {
        fillStructOps(context, map, (name) => programs.get(name)?.fd);
      }
    }
    pinMaps(this.#kernel, maps);
    return new LoadedObject({
      kernel: this.#kernel,
      spec,
      programs,
      maps: this.#maps,
      links: this.#links,
      btfFd: this.#btfFd,
      btfProblem: this.#btfProblem,
      fds: this.#fds.splice(0),
    });
  }

  #loadedMap(
    context: MapContext,
    { spec, fd, maxEntries, owned, pinPath }: CreatedMap,
    programs: ReadonlyMap<string, LoadedProgram>,
  ): LoadedMap {
    const ops = owned ? spec.structOps : undefined;
    // The kernel's types may be let go of by the time that it is attached: they are opened anew.
    const register = () => {
      const types = new KernelTypes(this.#kernel);
      try {
        fillStructOps(
          { ...context, types },
          { spec, fd, maxEntries, owned },
          (name) => programs.get(name)?.fd,
        );
      } finally {
        types.close();
      }
    };
    const registers = ops && !ops.link && ops.funcs.length > 0;
    return new LoadedMap({
      kernel: this.#kernel,
      spec,
      fd,
      maxEntries,
      owner: this.#links,
      pinned: pinPath,
      register: registers ? register : undefined,
    });
  }

  #own(fd: Fd): Fd {
    this.#fds.push(fd);
    return fd;
  }

  #openToken(): void {
    const { token } = this.#options;
    if (token === undefined || typeof token === 'number') {
      this.#token = token;
      return;
    }
    const bpffs_fd = this.#kernel.files.open(token);
    try {
      this.#token = this.#own(this.#kernel.bpf.token_create({ bpffs_fd }));
    } finally {
      this.#kernel.closeFd(bpffs_fd);
    }
  }

  #programOptions(name: string): ProgramOptions {
    const all = this.#options.program;
    return (all && Object.hasOwn(all, name) ? all[name] : undefined) ?? {};
  }

  #typeOf(program: ProgramSpec): ProgType {
    const type = this.#programOptions(program.name).type ?? program.type ?? this.#options.type;
    if (type !== undefined) return type;
    throw new InputError(
      'loader-program-type',
      `${this.#spec.file}: program ${program.name}: section ${program.section} says no program type; give one, ` +
        `or name the section as libbpf does (xdp, tc, kprobe/FUNCTION)`,
    );
  }

  /** As libbpf does: what the kernel is too old for is replaced, and BTF that it refuses all the same is left out. */
  #loadBtf(): void {
    const { btf } = this.#spec;
    if (!btf) return;
    try {
      this.#btfFd = this.#own(this.#kernel.bpf.btf_load({ btf: btf.bytes, ...this.#btfToken() }));
      return;
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      this.#btfProblem = error;
    }
    const sanitized = sanitizeBtf(this.#kernel, btf);
    if (!sanitized) return;
    try {
      this.#btfFd = this.#own(this.#kernel.bpf.btf_load({ btf: sanitized.bytes, ...this.#btfToken() }));
      this.#describesFunctions = sanitized.functions;
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
    }
  }

  #btfToken(): { readonly token_fd?: Fd } {
    return this.#token === undefined ? {} : { token_fd: this.#token };
  }

  /** The types that CO-RE records are resolved against. */
  #targetTypes(): Btf | undefined {
    const { btf } = this.#options;
    if (typeof btf !== 'string') return btf ?? this.#types.vmlinux;
    const bytes = this.#kernel.files.read_file(btf);
    if (bytes) return parseBtf(bytes, btf);
    throw new InputError(
      'loader-no-btf',
      `${this.#spec.file}: there is no file ${btf} to read the kernel's types from`,
      {
        errno: 'ENOENT',
      },
    );
  }

  #applyCore(linked: LinkedProgram, what: string): PoisonedRelo[] {
    if (linked.coreRelos.length === 0) return [];
    if (!this.#relocator) {
      const target = this.#targetTypes();
      if (!target) {
        throw new InputError(
          'loader-no-btf',
          `${what}: its CO-RE relocations need the kernel's types, but the kernel has no BTF; give one`,
        );
      }
      const modules = this.#options.btf ? [] : this.#types.modules().map((m) => m.btf);
      this.#relocator = new CoreRelocator(this.#spec.btf!, target, modules);
    }
    return applyCoreRelos(linked, this.#relocator, what);
  }

  #loadProgram(
    program: ProgramSpec,
    linked: LinkedProgram,
    maps: ReadonlyMap<string, CreatedMap>,
    externs: ReadonlyMap<string, ResolvedExtern>,
  ): LoadedProgram {
    const what = `${this.#spec.file}: program ${program.name} (section ${program.section})`;
    const given = this.#programOptions(program.name);
    const type = this.#typeOf(program);
    const poisoned = this.#applyCore(linked, what);
    const modules = relocateProgram(
      linked,
      {
        mapFd: (name) => {
          const map = maps.get(name);
          if (map) return map.fd;
          throw new InputError('loader-map', `${what}: map ${name}, which it uses, was not created`);
        },
        extern: (name) => externs.get(name)!,
      },
      what,
    );
    // Another type than the section's has another attach type, or none.
    const usual = type === program.type ? program.attach : undefined;
    const described = { ...program, type, attach: given.attach ?? usual };
    const { memberIndex, ...target } = findTarget(
      this.#kernel,
      this.#types,
      this.#spec,
      described,
      given.target,
      given.attachProg,
    );
    const attach = memberIndex === undefined ? described.attach : attachTypeName(memberIndex);
    const flags =
      (program.sleepable ? PROG_LOAD_FLAGS.BPF_F_SLEEPABLE : 0) |
      (given.metadataOnly ? PROG_LOAD_FLAGS.BPF_F_XDP_DEV_BOUND_ONLY : 0) |
      (program.frags ? PROG_LOAD_FLAGS.BPF_F_XDP_HAS_FRAGS : 0) |
      (this.#token === undefined ? 0 : MAP_CREATE_FLAGS.BPF_F_TOKEN_FD);
    const attr: ProgLoadAttr = {
      prog_type: type,
      prog_name: own(this.#options.rename, program.name) ?? kernelName(program.name),
      insns: linked.insns,
      license: this.#spec.license,
      kern_version: this.#spec.version ?? kernelVersion(this.#kernel.release),
      ...(attach === undefined ? {} : { expected_attach_type: attach }),
      ...(flags === 0 ? {} : { prog_flags: flags }),
      ...(given.ifindex === undefined ? {} : { prog_ifindex: given.ifindex }),
      ...(this.#token === undefined ? {} : { prog_token_fd: this.#token }),
      ...(modules.length === 0 ? {} : { fd_array: modules }),
      ...target,
      ...this.#infoAttr(linked),
    };
    const { fd, log } = this.#verify(attr, what, poisoned);
    return new LoadedProgram({
      kernel: this.#kernel,
      name: program.name,
      fd: this.#own(fd),
      type,
      attachType: type === 'struct_ops' ? undefined : attach,
      target: given.target ?? program.target,
      spec: program,
      log,
      poisoned,
      maps: this.#maps,
      owner: this.#links,
      btf: this.#spec.btf,
    });
  }

  /** Functions and lines for the kernel's log and listings; all or none, since the kernel wants every function. */
  #infoAttr(linked: LinkedProgram): Partial<ProgLoadAttr> {
    if (this.#btfFd === undefined || !this.#describesFunctions) return {};
    if (linked.funcs.some((f) => f.btfType === undefined)) return {};
    return {
      prog_btf_fd: this.#btfFd,
      func_info: records(linked.funcs.map((f) => [f.insn, f.btfType!])),
      func_info_rec_size: 8,
      ...(linked.lines.length === 0
        ? {}
        : {
            line_info: records(
              linked.lines.map((l) => [
                l.insn,
                l.fileOffset,
                l.textOffset,
                ((l.line << 10) | (l.column & 0x3ff)) >>> 0,
              ]),
            ),
            line_info_rec_size: 16,
          }),
    };
  }

  /** Loads; a program that is refused is loaded once more for the log. */
  #verify(attr: ProgLoadAttr, what: string, poisoned: readonly PoisonedRelo[]) {
    const level = this.#options.logLevel ?? 0;
    const size = this.#options.logSize === undefined ? {} : { log_size: this.#options.logSize };
    try {
      return this.#kernel.bpf.prog_load(level === 0 ? attr : { ...attr, ...size, log_level: level });
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      throw this.#refusal(level === 0 ? this.#again(attr, size, error) : error, what, poisoned);
    }
  }

  #again(attr: ProgLoadAttr, size: { readonly log_size?: number }, first: InputError): InputError {
    try {
      const { fd } = this.#kernel.bpf.prog_load({ ...attr, ...size, log_level: 1 });
      this.#kernel.closeFd(fd);
    } catch (second) {
      if (second instanceof InputError && second.errno === first.errno) return second;
    }
    return first;
  }

  #refusal(error: InputError, what: string, poisoned: readonly PoisonedRelo[]): InputError {
    const unresolved = error.detail?.includes(`unknown#${POISON_IMM}`)
      ? `; the kernel lacks what it needs: ${poisoned.map((p) => `instruction ${p.insn}: ${p.problem}`).join('; ')}`
      : '';
    return new InputError('loader-prog-load', `${what}: ${error.message}${unresolved}`, {
      cause: error,
      ...(error.errno === undefined ? {} : { errno: error.errno }),
      ...(error.detail === undefined ? {} : { detail: error.detail }),
    });
  }

  /** Puts programs into the prog arrays that start with them. */
  #fillPrograms(maps: ReadonlyMap<string, CreatedMap>, programs: ReadonlyMap<string, LoadedProgram>): void {
    for (const map of maps.values()) {
      if (!map.owned || map.spec.type !== 'prog_array') continue;
      for (const slot of map.spec.slots) {
        const program = slot.kind === 'prog' ? programs.get(slot.name) : undefined;
        if (program) putFd(this.#kernel, map.fd, slot.index, program.fd);
      }
      if (map.spec.id === 0) continue;
      for (const program of programs.values()) {
        const { tail } = program.spec;
        if (tail?.id === map.spec.id) putFd(this.#kernel, map.fd, tail.index, program.fd);
      }
    }
  }
}

/** Records of 32-bit words. */
function records(rows: readonly (readonly number[])[]): Uint8Array {
  const width = rows[0]?.length ?? 0;
  const view = new DataView(new ArrayBuffer(rows.length * width * 4));
  for (const [r, row] of rows.entries()) {
    for (const [c, word] of row.entries()) view.setUint32((r * width + c) * 4, word, true);
  }
  return new Uint8Array(view.buffer);
}
