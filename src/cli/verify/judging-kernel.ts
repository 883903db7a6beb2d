/**
 * A kernel that only judges: maps are made in an embedded kernel where it has their type, and known by what they were
 * declared as where it has not; programs are verified and not loaded.
 */
import { InputError } from '../../base/error.ts';
import { type Btf, parseBtf } from '../../btf/index.ts';
import {
  type Capabilities,
  createKernel,
  type EmbeddedKernel,
  effectiveAttachType,
  type Inspection,
  inspect,
  isRejection,
  type MapFacts,
  type ProgramInput,
} from '../../kernel/judge.ts';
import type {
  Bpf,
  BtfLoadAttr,
  Fd,
  Kernel,
  MapCreateAttr,
  ProgLoadAttr,
  ProgLoadResult,
} from '../../sys/index.ts';

/** How programs are judged from now on. */
export interface Manner {
  readonly capabilities: Capabilities;
  /** `6.18`. */
  readonly version: string;
  readonly logLevel: number;
}

export interface Judged {
  readonly attr: ProgLoadAttr;
  readonly inspection: Inspection;
}

/** Descriptors of what is only known, not made: above any that a kernel gives. */
const FIRST_FD = 1 << 24;
/** What `expected_attach_type` 0 is called. */
const UNSPECIFIED = 'cgroup_inet_ingress';

export class JudgingKernel implements Kernel {
  readonly name = 'embedded';
  readonly bpf: Bpf;
  readonly possibleCpus = 1;
  manner: Manner;
  /** The types of the object that is judged. */
  objectBtf: Uint8Array | undefined;
  /** Why they were refused, where they were. */
  btfProblem: string | undefined;
  /** Every load since it was last taken, in order. */
  readonly judged: Judged[] = [];
  readonly #inner: EmbeddedKernel = createKernel();
  readonly #btf: Uint8Array | undefined;
  #kernelBtf: Btf | undefined;
  readonly #maps = new Map<number, MapFacts>();
  readonly #btfs = new Map<number, Btf>();
  readonly #programs = new Set<number>();
  #nextFd = FIRST_FD;

  /** @param btf the types of the kernel that the programs are for */
  constructor(manner: Manner, btf: Uint8Array | undefined) {
    this.manner = manner;
    this.#btf = btf;
    const inner = this.#inner.bpf;
    this.bpf = {
      ...inner,
      map_create: (attr) => this.#createMap(attr),
      map_update_elem: (attr) => {
        const map = this.#maps.get(attr.map_fd);
        if (attr.map_fd < FIRST_FD && map?.type !== 'prog_array') inner.map_update_elem(attr);
      },
      map_freeze: (attr) => {
        if (attr.map_fd < FIRST_FD) inner.map_freeze(attr);
        const facts = this.#maps.get(attr.map_fd);
        if (facts) this.#maps.set(attr.map_fd, { ...facts, frozen: true });
      },
      btf_load: (attr) => this.#loadBtf(attr),
      prog_load: (attr) => this.#load(attr),
      obj_pin: () => undefined,
      obj_get: () => {
        throw new InputError('verify-pin', 'nothing is pinned in a kernel that only judges (ENOENT)', {
          errno: 'ENOENT',
        });
      },
    };
  }

  #createMap(attr: MapCreateAttr): Fd {
    const inner = attr.inner_map_fd === undefined ? undefined : this.#maps.get(attr.inner_map_fd);
    const fd = this.#makeMap(attr);
    const btf = attr.btf_fd === undefined ? undefined : this.#btfs.get(attr.btf_fd);
    this.#maps.set(fd, {
      id: this.#maps.size + 1,
      name: attr.map_name ?? '',
      type: attr.map_type,
      keySize: attr.key_size,
      valueSize: attr.value_size,
      maxEntries: attr.max_entries,
      flags: attr.map_flags ?? 0,
      frozen: false,
      ...(btf && {
        btf,
        btfKeyTypeId: attr.btf_key_type_id ?? 0,
        btfValueTypeId: attr.btf_value_type_id ?? 0,
      }),
      ...(inner && { inner }),
      ...(!this.manner.capabilities.perfmon && { unprivileged: true }),
      ...(attr.map_type === 'array' && attr.max_entries === 1 && { contents: this.#contents(fd) }),
    });
    return fd;
  }

  #makeMap(attr: MapCreateAttr): Fd {
    if ((attr.inner_map_fd ?? 0) >= FIRST_FD) return this.#freshFd();
    try {
      return this.#inner.bpf.map_create(attr);
    } catch (error) {
      if (error instanceof InputError && error.message.includes('has no maps of type'))
        return this.#freshFd();
      throw error;
    }
  }

  #freshFd(): Fd {
    return this.#nextFd++ as Fd;
  }

  #contents(fd: Fd): (offset: number, size: number) => Uint8Array | undefined {
    return (offset, size) => {
      const value = this.#inner.bpf.map_lookup_elem({ map_fd: fd, key: new Uint8Array(4) });
      return value && offset + size <= value.length ? value.slice(offset, offset + size) : undefined;
    };
  }

  #loadBtf(attr: BtfLoadAttr): Fd {
    let fd: Fd;
    try {
      fd = this.#inner.bpf.btf_load(attr);
    } catch (error) {
      // The loader goes on without it, or with less of it.
      if (error instanceof InputError && attr.btf === this.objectBtf) this.btfProblem = error.message;
      throw error;
    }
    this.#btfs.set(fd, parseBtf(attr.btf, 'loaded BTF'));
    return fd;
  }

  /** Reading a kernel's types takes longer than judging a program, and most programs don't need them. */
  get #kernelTypes(): Btf | undefined {
    this.#kernelBtf ??= this.#btf && parseBtf(this.#btf, 'vmlinux');
    return this.#kernelBtf;
  }

  #load(attr: ProgLoadAttr): ProgLoadResult {
    const last = this.judged.at(-1);
    // What is refused is loaded again for its log.
    const known = last?.attr.insns === attr.insns ? last?.inspection : undefined;
    const inspection = known ?? this.#inspect(attr);
    this.judged.push({ attr, inspection });
    const { result } = inspection;
    if (isRejection(result)) {
      throw new InputError(
        'verify-refused',
        `${attr.prog_name ?? 'the program'}: ${result.problem} (${result.errno})`,
        { errno: result.errno, detail: result.log === '' ? result.problem : result.log },
      );
    }
    const fd = this.#freshFd();
    this.#programs.add(fd);
    return { fd, log: result.log };
  }

  #inspect(attr: ProgLoadAttr): Inspection {
    const { capabilities, version, logLevel } = this.manner;
    const types = () => this.#kernelTypes;
    return inspect(this.#input(attr), {
      map: (fd) => this.#maps.get(fd) ?? (this.#btfs.has(fd) ? 'not-a-map' : 'bad-fd'),
      get kernelBtf() {
        return types();
      },
      capabilities,
      kernelVersion: version,
      logLevel,
      helperImplemented: () => true,
    });
  }

  #input(attr: ProgLoadAttr): ProgramInput {
    const attach = effectiveAttachType(attr.prog_type, attr.expected_attach_type ?? UNSPECIFIED);
    const records = (bytes: Uint8Array | undefined, recSize: number) =>
      bytes && bytes.length > 0 ? { bytes, recSize } : undefined;
    const funcInfo = records(attr.func_info, attr.func_info_rec_size ?? 8);
    const lineInfo = records(attr.line_info, attr.line_info_rec_size ?? 16);
    const btf = attr.prog_btf_fd === undefined ? undefined : this.#btfs.get(attr.prog_btf_fd);
    return {
      name: attr.prog_name ?? '',
      type: attr.prog_type,
      ...(attach !== undefined && attach !== UNSPECIFIED && { expectedAttachType: attach }),
      insns: attr.insns.slice(),
      license: attr.license,
      flags: attr.prog_flags ?? 0,
      ...(btf && (funcInfo || lineInfo) && { btf }),
      ...(funcInfo && { funcInfo }),
      ...(lineInfo && { lineInfo }),
      ...(attr.fd_array && { fdArray: attr.fd_array }),
      ...(attr.attach_btf_id && { attachTarget: { btfId: attr.attach_btf_id } }),
    };
  }

  get os(): Kernel['os'] {
    return this.#inner.os;
  }
  get files(): Kernel['files'] {
    return this.#inner.files;
  }
  get hooks(): Kernel['hooks'] {
    return this.#inner.hooks;
  }
  get net(): Kernel['net'] {
    return this.#inner.net;
  }
  get release(): string {
    return `${this.manner.version}.0`;
  }
  vmlinuxBtf(): Uint8Array | undefined {
    return this.#btf;
  }
  kconfig(name: string): string | undefined {
    return this.#inner.kconfig(name);
  }
  ksym(name: string): bigint | undefined {
    return this.#inner.ksym(name);
  }
  closeFd(fd: Fd): void {
    this.#maps.delete(fd);
    this.#btfs.delete(fd);
    this.#programs.delete(fd);
    if (fd < FIRST_FD) this.#inner.closeFd(fd);
  }
  close(): void {
    this.#inner.close();
  }
  [Symbol.dispose](): void {
    this.close();
  }
}
