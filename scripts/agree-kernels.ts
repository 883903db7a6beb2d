/**
 * Two kernels behind one interface: maps and BTF are Linux's, and each program that is loaded is judged by both, on
 * the same bytes, the same file descriptors and the same BTF ids. What skep's verifier knows of a map is what it was
 * created with.
 */
import { InputError } from '../src/base/error.ts';
import { type Btf, parseBtf } from '../src/btf/index.ts';
import { effectiveAttachType } from '../src/kernel/programs/index.ts';
import {
  ALL_CAPABILITIES,
  type Capabilities,
  isRejection,
  type MapFacts,
  type ProgramInput,
  type VerifiedProgram,
  verify,
} from '../src/kernel/verifier/index.ts';
import {
  type Bpf,
  type BtfLoadAttr,
  type Fd,
  type Kernel,
  MAP_CREATE_FLAGS,
  type MapCreateAttr,
  type ProgLoadAttr,
  type ProgLoadResult,
} from '../src/sys/index.ts';

/** What one kernel says of a program. */
export interface Answer {
  readonly accepted: boolean;
  /** The errno that it is refused with. */
  readonly errno?: string;
  readonly log: string;
  /** skep's own failure, which is no verdict. */
  readonly crash?: string;
  /** Milliseconds that the answer took. */
  readonly ms: number;
  /** Of these, processor time of all threads; of skep's answers only where they took long. */
  readonly cpuMs?: number;
}

/** A program and what both say of it. */
export interface Judgement {
  readonly attr: ProgLoadAttr;
  readonly linux: Answer;
  readonly skep: Answer;
  /** Milliseconds that each of skep's answers took, of the clock or of the processor (all threads), whichever is less. */
  readonly skepMs: readonly number[];
}

/** How programs are loaded. */
export interface Manner {
  readonly logLevel: number;
  readonly flagsSet?: number;
  readonly flagsCleared?: number;
  readonly capabilities?: Capabilities;
  /** skep judges so many times, for measuring; 1 when absent. */
  readonly skepRounds?: number;
  /** Calls it with the effective capabilities of this thread lowered to {@link capabilities}. */
  readonly lowered?: <T>(call: () => T) => T;
}

/** What the verifier is asked with: the attributes of a load and what its file descriptors are. */
export interface Objects {
  readonly maps: ReadonlyMap<number, MapFacts>;
  readonly btfs: ReadonlyMap<number, Btf>;
  readonly programs: ReadonlyMap<number, VerifiedProgram>;
  readonly kernelBtf: Btf | undefined;
  readonly symbol: (name: string) => bigint | undefined;
  readonly release: string;
  readonly cpus: number;
}

const UNSPECIFIED = 'cgroup_inet_ingress';
/** Logs that are longer are done without. */
const LOG_BYTES = 16 << 20;
/** The log level that gives only the counts. */
const COUNTS = 4;

function programInput(attr: ProgLoadAttr, objects: Objects): ProgramInput | undefined {
  const attach = effectiveAttachType(attr.prog_type, attr.expected_attach_type ?? UNSPECIFIED);
  if (attach === undefined) return undefined;
  const records = (bytes: Uint8Array | undefined, recSize: number) =>
    bytes && bytes.length > 0 ? { bytes, recSize } : undefined;
  const funcInfo = records(attr.func_info, attr.func_info_rec_size ?? 8);
  const lineInfo = records(attr.line_info, attr.line_info_rec_size ?? 16);
  const btf = attr.prog_btf_fd === undefined ? undefined : objects.btfs.get(attr.prog_btf_fd);
  const targetBtf =
    attr.attach_btf_obj_fd === undefined ? undefined : objects.btfs.get(attr.attach_btf_obj_fd);
  const targetProg =
    attr.attach_prog_fd === undefined ? undefined : objects.programs.get(attr.attach_prog_fd);
  return {
    name: attr.prog_name ?? '',
    type: attr.prog_type,
    ...(attach !== UNSPECIFIED && { expectedAttachType: attach }),
    insns: attr.insns.slice(),
    license: attr.license,
    flags: attr.prog_flags ?? 0,
    ...(btf && (funcInfo || lineInfo) && { btf }),
    ...(funcInfo && { funcInfo }),
    ...(lineInfo && { lineInfo }),
    ...(attr.fd_array && { fdArray: attr.fd_array }),
    ...(attr.attach_btf_id && {
      attachTarget: {
        btfId: attr.attach_btf_id,
        ...(targetBtf && { btf: targetBtf }),
        ...(targetProg && { prog: targetProg }),
      },
    }),
  };
}

/** skep's answer; what it throws is in it. */
export function askSkep(
  attr: ProgLoadAttr,
  objects: Objects,
  capabilities: Capabilities = ALL_CAPABILITIES,
): { readonly answer: Answer; readonly program?: VerifiedProgram } {
  const start = performance.now();
  const used = process.cpuUsage();
  const took = (): { ms: number; cpuMs?: number } => {
    const ms = performance.now() - start;
    return ms < 1000 ? { ms } : { ms, cpuMs: process.cpuUsage(used).user / 1000 };
  };
  const input = programInput(attr, objects);
  if (input === undefined) return { answer: { accepted: false, errno: 'EINVAL', log: '', ms: 0 } };
  try {
    const result = verify(input, {
      map: (fd) => objects.maps.get(fd) ?? (objects.btfs.has(fd) ? 'not-a-map' : 'bad-fd'),
      kernelBtf: objects.kernelBtf,
      symbol: objects.symbol,
      capabilities,
      kernelVersion: objects.release,
      logLevel: attr.log_level ?? 0,
      cpus: objects.cpus,
      helperImplemented: () => true,
    });
    if (isRejection(result))
      return { answer: { accepted: false, errno: result.errno, log: result.log, ...took() } };
    return { answer: { accepted: true, log: result.log, ...took() }, program: result };
  } catch (error) {
    const crash = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { answer: { accepted: false, log: '', crash, ...took() } };
  }
}

/** The real kernel, whose programs skep judges beside it. */
export class TwoKernels implements Kernel {
  readonly name = 'linux';
  readonly bpf: Bpf;
  manner: Manner = { logLevel: 1 };
  /** Whether skep is told that maps were made without privilege; Linux's are made with it. */
  mapsUnprivileged = false;
  /** Of every load since it was last taken. */
  readonly judged: Judgement[] = [];
  readonly #linux: Kernel;
  readonly #maps = new Map<number, MapFacts>();
  readonly #btfs = new Map<number, Btf>();
  readonly #programs = new Map<number, VerifiedProgram>();
  readonly #kernelBtf: Btf | undefined;
  #lastMap = 0;

  constructor(linux: Kernel) {
    this.#linux = linux;
    const bytes = linux.vmlinuxBtf();
    this.#kernelBtf = bytes && parseBtf(bytes, 'vmlinux');
    this.bpf = {
      ...linux.bpf,
      map_create: (attr) => this.#createMap(attr),
      map_freeze: (attr) => {
        linux.bpf.map_freeze(attr);
        const facts = this.#maps.get(attr.map_fd);
        if (facts) this.#maps.set(attr.map_fd, { ...facts, frozen: true });
      },
      btf_load: (attr) => this.#loadBtf(attr),
      prog_load: (attr) => this.#load(attr),
      obj_pin: () => undefined,
      obj_get: () => {
        throw new InputError('agree-pin', 'nothing is pinned', { errno: 'ENOENT' });
      },
    };
  }

  get objects(): Objects {
    return {
      maps: this.#maps,
      btfs: this.#btfs,
      programs: this.#programs,
      kernelBtf: this.#kernelBtf,
      symbol: (name) => this.#linux.ksym(name),
      release: this.release,
      cpus: this.possibleCpus,
    };
  }

  #createMap(attr: MapCreateAttr): Fd {
    const fd = this.#linux.bpf.map_create(attr);
    const btf = attr.btf_fd === undefined ? undefined : this.#btfs.get(attr.btf_fd);
    const inner = attr.inner_map_fd === undefined ? undefined : this.#maps.get(attr.inner_map_fd);
    this.#maps.set(fd, {
      id: ++this.#lastMap,
      name: attr.map_name ?? '',
      type: attr.map_type,
      keySize: attr.key_size,
      valueSize: attr.value_size,
      maxEntries: attr.max_entries,
      // Linux lets programs only read the values of devmaps, which are numbers of interfaces.
      flags:
        (attr.map_flags ?? 0) | (attr.map_type.startsWith('devmap') ? MAP_CREATE_FLAGS.BPF_F_RDONLY_PROG : 0),
      frozen: false,
      ...(this.mapsUnprivileged && { unprivileged: true }),
      ...(btf && {
        btf,
        btfKeyTypeId: attr.btf_key_type_id ?? 0,
        btfValueTypeId: attr.btf_value_type_id ?? 0,
      }),
      ...(inner && { inner }),
      ...(attr.map_type === 'arena' && { userAddress: attr.map_extra ?? 0n }),
      ...(attr.map_type === 'array' && attr.max_entries === 1 && { contents: this.#contents(fd) }),
    });
    return fd;
  }

  #contents(fd: Fd): (offset: number, size: number) => Uint8Array | undefined {
    let value: Uint8Array | undefined;
    return (offset, size) => {
      const frozen = this.#maps.get(fd)?.frozen === true;
      const bytes = value ?? this.#linux.bpf.map_lookup_elem({ map_fd: fd, key: new Uint8Array(4) });
      if (frozen) value = bytes;
      return bytes && offset + size <= bytes.length ? bytes.slice(offset, offset + size) : undefined;
    };
  }

  #loadBtf(attr: BtfLoadAttr): Fd {
    const fd = this.#linux.bpf.btf_load(attr);
    this.#btfs.set(fd, parseBtf(attr.btf, 'loaded BTF'));
    return fd;
  }

  #load(given: ProgLoadAttr): ProgLoadResult {
    const { logLevel, flagsSet = 0, flagsCleared = 0, capabilities, skepRounds = 1, lowered } = this.manner;
    const leveled = (level: number): ProgLoadAttr => ({
      ...given,
      prog_flags: ((given.prog_flags ?? 0) | flagsSet) & ~flagsCleared,
      log_level: level,
      ...(level > 0 && { log_size: LOG_BYTES }),
    });
    let attr = leveled(logLevel);
    const start = performance.now();
    let result: ProgLoadResult | undefined;
    let refusal: InputError | undefined;
    let cpuMs = 0;
    const ask = (): void => {
      result = refusal = undefined;
      const used = process.cpuUsage();
      try {
        const call = (): ProgLoadResult => this.#linux.bpf.prog_load(attr);
        result = lowered ? lowered(call) : call();
      } catch (error) {
        if (!(error instanceof InputError)) throw error;
        refusal = error;
      }
      const { user, system } = process.cpuUsage(used);
      cpuMs = (user + system) / 1000;
    };
    // A signal that comes while Linux verifies ends the call.
    let tries = 5;
    do ask();
    while (refusal?.errno === 'EAGAIN' && --tries > 0);
    if (refusal?.errno === 'ENOSPC' && logLevel !== COUNTS) {
      // The log did not fit: the verdict and the counts will do.
      attr = leveled(COUNTS);
      ask();
    }
    const linux: Answer = {
      accepted: result !== undefined,
      ...(refusal?.errno !== undefined && { errno: refusal.errno }),
      log: result?.log ?? refusal?.detail ?? '',
      ms: performance.now() - start,
      cpuMs,
    };
    const skepMs: number[] = [];
    const asked = (): ReturnType<typeof askSkep> => {
      const used = process.cpuUsage();
      const said = askSkep(attr, this.objects, capabilities);
      const { user, system } = process.cpuUsage(used);
      skepMs.push(Math.min(said.answer.ms, (user + system) / 1000));
      return said;
    };
    const { answer, program } = asked();
    while (skepMs.length < skepRounds) asked();
    this.judged.push({ attr, linux, skep: answer, skepMs });
    if (refusal) throw refusal;
    if (program) this.#programs.set(result!.fd, program);
    return result!;
  }

  get os(): Kernel['os'] {
    return this.#linux.os;
  }
  get files(): Kernel['files'] {
    return this.#linux.files;
  }
  get hooks(): Kernel['hooks'] {
    return this.#linux.hooks;
  }
  get net(): Kernel['net'] {
    return this.#linux.net;
  }
  get release(): string {
    return this.#linux.release;
  }
  get possibleCpus(): number {
    return this.#linux.possibleCpus;
  }
  vmlinuxBtf(): Uint8Array | undefined {
    return this.#linux.vmlinuxBtf();
  }
  kconfig(name: string): string | undefined {
    return this.#linux.kconfig(name);
  }
  ksym(name: string): bigint | undefined {
    return this.#linux.ksym(name);
  }
  closeFd(fd: Fd): void {
    this.#maps.delete(fd);
    this.#btfs.delete(fd);
    this.#programs.delete(fd);
    this.#linux.closeFd(fd);
  }
  close(): void {
    this.#linux.close();
  }
  [Symbol.dispose](): void {
    this.close();
  }
}
