/** The part of a loader program that looks up what a program wants of the kernel, and puts it into its instructions. */
import type { LoaderCode, LoaderData, Place, Width } from './blob.ts';

/** Kinds of BTF types, by number. */
export const BTF_KIND = { typedef: 8, func: 12, var: 14 } as const;

/** An instruction that refers to a symbol of the kernel. */
export interface SymbolUse {
  readonly name: string;
  readonly insn: number;
  readonly weak: boolean;
  /** A call of a function; the address of a variable, of a function, of something without a type. */
  readonly kind: 'call' | 'variable' | 'function' | 'address';
}

/** What the rest of the loader program offers. */
export interface SymbolHost {
  readonly code: LoaderCode;
  readonly data: LoaderData;
  /** Place of a file descriptor in the array that programs are loaded with. */
  readonly fd: (index: number) => Place;
  /** Index of the first module there. */
  readonly firstModule: number;
  readonly check: () => void;
  readonly copy: (to: Place, from: Place, size: Width) => void;
  readonly close: (place: Place) => void;
  /** As libbpf 1.8 does: the slot of a module is set for functions of the kernel itself too. */
  readonly modern: boolean;
}

/** A symbol that was looked up for the program. */
interface Known {
  readonly use: SymbolUse;
  /** The first instruction that refers to it. */
  readonly at: Place;
  /** Index of its module. */
  readonly module: number;
}

const SLOT = 8;
const OFF = 2;
const IMM = 4;
/** The half of the byte of registers that the destination is in. */
const DST_MASK = 0x0f;
const REGISTERS = 1;
const ENOENT = 2;

export class KernelSymbolCode {
  readonly #host: SymbolHost;
  readonly #known = new Map<string, Known>();
  #modules = 0;

  constructor(host: SymbolHost) {
    this.#host = host;
  }

  /** Looks a BTF type up: r7 is its id, with the file descriptor of its module above, or an error. */
  find(name: string, kind: number): void {
    const { code, data } = this.#host;
    const place = data.text(name);
    code.address(1, place);
    code.set(2, sizeOf(name));
    code.set(3, kind);
    code.set(4, 0);
    code.call('btf_find_by_name_kind');
    code.move(7, 0);
  }

  /** @param insns where the program's instructions are */
  fillIn(uses: readonly SymbolUse[], insns: Place): void {
    for (const use of uses) {
      const at = insns + use.insn * SLOT;
      this.#host.code.address(8, at);
      if (use.kind === 'call') this.#call(use, at);
      else if (use.kind === 'variable' || use.kind === 'function') this.#typed(use, at);
      else this.#address(use, at);
    }
  }

  /** libbpf 1.8 looks up apart what is called and what is addressed. */
  #keyOf({ kind, name }: SymbolUse): string {
    return this.#host.modern ? `${kind} ${name}` : name;
  }

  #knownFor(use: SymbolUse): Known | undefined {
    return this.#known.get(this.#keyOf(use));
  }

  #call(use: SymbolUse, at: Place): void {
    const { code, copy, fd, firstModule, modern } = this.#host;
    const known = this.#knownFor(use);
    if (known) {
      copy(at + IMM, known.at + IMM, 4);
      copy(at + OFF, known.at + OFF, 2);
      return;
    }
    this.find(use.name, BTF_KIND.func);
    if (!use.weak) this.#host.check();
    const module = firstModule + this.#modules++;
    this.#known.set(this.#keyOf(use), { use, at, module });
    code.jump('sge', 7, 0, 3);
    code.storeConstant(4, 8, IMM, 0);
    code.storeConstant(2, 8, OFF, 0);
    code.jump('always', 0, 0, 10);
    code.store(4, 8, IMM, 7);
    code.move(9, 7);
    code.shiftRight(9, 32);
    const keep = () => {
      code.address(0, fd(module));
      code.store(4, 0, 0, 9);
    };
    if (modern) keep();
    code.jump('ne', 9, 0, 2);
    code.storeConstant(2, 8, OFF, 0);
    code.jump('always', 0, 0, modern ? 1 : 4);
    if (!modern) keep();
    code.storeConstant(2, 8, OFF, module);
  }

  /** A wide load of the address of what has a type. */
  #typed(use: SymbolUse, at: Place): void {
    const { code, copy, modern } = this.#host;
    const known = this.#knownFor(use);
    if (known) {
      copy(at + SLOT + IMM, known.at + SLOT + IMM, 4);
      copy(at + IMM, known.at + IMM, 4);
      code.jump('ne', 0, 0, 3);
    } else {
      this.#known.set(this.#keyOf(use), { use, at, module: 0 });
      // libbpf 1.1 takes a function whose address is wanted for a variable.
      this.find(use.name, use.kind === 'function' && modern ? BTF_KIND.func : BTF_KIND.var);
      if (!use.weak) this.#host.check();
      code.jump('sge', 7, 0, 3);
      code.storeConstant(4, 8, IMM, 0);
      code.storeConstant(4, 8, SLOT + IMM, 0);
      code.jump('always', 0, 0, 4);
      code.store(4, 8, IMM, 7);
      code.shiftRight(7, 32);
      code.store(4, 8, SLOT + IMM, 7);
      code.jump('always', 0, 0, 3);
    }
    // One that is not there is the number 0, not a type.
    code.load(1, 9, 8, REGISTERS);
    code.and32(9, DST_MASK);
    code.store(1, 8, REGISTERS, 9);
  }

  #address(use: SymbolUse, at: Place): void {
    const { code, copy, data } = this.#host;
    const known = this.#knownFor(use);
    if (known) {
      copy(at + IMM, known.at + IMM, 4);
      copy(at + SLOT + IMM, known.at + SLOT + IMM, 4);
      return;
    }
    this.#known.set(this.#keyOf(use), { use, at, module: 0 });
    const name = data.text(use.name);
    const found = data.reserve(8);
    code.address(1, name);
    code.set(2, sizeOf(use.name));
    code.set(3, 0);
    code.address(4, found);
    code.move(7, 4);
    code.call('kallsyms_lookup_name');
    code.load(8, 9, 7, 0);
    code.move(7, 0);
    code.jump('eq', 7, -ENOENT, 1);
    this.#host.check();
    code.store(4, 8, IMM, 9);
    code.shiftRight(9, 32);
    code.store(4, 8, SLOT + IMM, 9);
  }

  /** Closes the modules that were opened for a program: it is loaded, or refused. */
  cleanUp(): void {
    const { close, fd } = this.#host;
    for (const { use, at, module } of this.#known.values()) {
      if (use.kind === 'variable' || use.kind === 'function') close(at + SLOT + IMM);
      else if (use.kind === 'call') {
        close(fd(module));
        this.#modules--;
      }
    }
    this.#known.clear();
  }
}

/** Bytes of a name with its terminating zero. */
function sizeOf(name: string): number {
  return new TextEncoder().encode(name).length + 1;
}
