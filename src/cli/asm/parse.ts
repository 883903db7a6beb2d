/** A file of assembly: directives, functions by label, and references to maps and functions by name. */
import { InputError } from '../../base/error.ts';
import type { BpfFunctionInput, BpfMapInput, BpfObjectInput, BpfRelocInput } from '../../elf/index.ts';
import { assembleLlvm, type Insn, slots } from '../../isa/index.ts';
import { helperId, isHelper, isMapType, mapTypeId, mapTypeNames } from '../../sys/index.ts';

/** A line of a function, with what it refers to. */
interface Line {
  readonly number: number;
  /** As the assembler gets it. */
  readonly text: string;
  readonly reference?: Omit<BpfRelocInput, 'insn'>;
}

interface Body {
  readonly name: string;
  readonly section: string;
  readonly static: boolean;
  readonly number: number;
  readonly lines: Line[];
}

const LABEL = /^([A-Za-z_.$][\w.$]*):\s*/;
const LOAD = /^(r\d+)\s*=\s*([A-Za-z_][\w.]*)\s+ll$/;
const CALL = /^call\s+([A-Za-z_][\w.]*)$/;

/** @throws InputError naming the line */
export function parseAssembly(text: string, file: string): BpfObjectInput {
  return new FileParser(text, file).parse();
}

class FileParser {
  readonly #file: string;
  readonly #lines: readonly string[];
  readonly #maps: BpfMapInput[] = [];
  readonly #bodies: Body[] = [];
  #license: string | undefined;
  #section = '.text';
  #static = false;

  constructor(text: string, file: string) {
    this.#file = file;
    this.#lines = text.split('\n');
  }

  parse(): BpfObjectInput {
    for (const [i, raw] of this.#lines.entries()) this.#line(withoutComment(raw).trim(), i + 1);
    if (this.#bodies.length === 0) {
      throw new InputError(
        'asm-empty',
        `${this.#file}: there is no function: begin one with a label (NAME:)`,
      );
    }
    const functions = this.#bodies.map((body) => this.#assemble(body));
    return {
      functions,
      maps: this.#maps,
      ...(this.#license === undefined ? {} : { license: this.#license }),
    };
  }

  #fail(number: number, problem: string): InputError {
    return new InputError('asm-syntax', `${this.#file}:${number}: ${problem}`);
  }

  #line(line: string, number: number): void {
    const label = LABEL.exec(line);
    if (label !== null && !/^[L.]/.test(label[1]!)) {
      this.#begin(label[1]!, number);
      this.#line(line.slice(label[0].length), number);
      return;
    }
    if (line === '') return;
    if (line.startsWith('.') && label === null) {
      this.#directive(line, number);
      return;
    }
    const body = this.#bodies.at(-1);
    if (body === undefined || body.section !== this.#section) {
      throw this.#fail(number, 'an instruction stands before any function: begin one with a label (NAME:)');
    }
    body.lines.push({ number, text: line });
  }

  #begin(name: string, number: number): void {
    if (this.#bodies.some((body) => body.name === name) || this.#maps.some((map) => map.name === name)) {
      throw this.#fail(number, `${name} is defined twice`);
    }
    this.#bodies.push({ name, section: this.#section, static: this.#static, number, lines: [] });
    this.#static = false;
  }

  #directive(line: string, number: number): void {
    const [word, ...rest] = line.split(/\s+/);
    const argument = line
      .slice(word!.length)
      .trim()
      .replace(/^"(.*)"$/, '$1');
    switch (word) {
      case '.section':
        if (argument === '') throw this.#fail(number, '.section needs a name');
        this.#section = argument;
        return;
      case '.license':
        this.#license = argument;
        return;
      case '.static':
        this.#static = true;
        return;
      case '.map':
        this.#maps.push(this.#map(rest, number));
        return;
      default:
        throw this.#fail(
          number,
          `there is no directive ${word}; there are .section, .license, .map and .static`,
        );
    }
  }

  #map(words: readonly string[], number: number): BpfMapInput {
    const [name, type, ...sizes] = words;
    if (name === undefined || type === undefined || sizes.length < 3 || sizes.length > 4) {
      throw this.#fail(number, '.map takes NAME TYPE KEY VALUE MAX [FLAGS]');
    }
    if (!isMapType(type)) {
      throw this.#fail(number, `there is no map type ${type}; there are ${mapTypeNames.join(', ')}`);
    }
    const [keySize, valueSize, maxEntries, flags = 0] = sizes.map((word) => {
      const value = Number(word);
      if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
        throw this.#fail(number, `${word} is no number of 32 bits`);
      }
      return value;
    });
    return {
      name,
      type: mapTypeId(type),
      keySize: keySize!,
      valueSize: valueSize!,
      maxEntries: maxEntries!,
      flags,
    };
  }

  #assemble(body: Body): BpfFunctionInput {
    if (body.lines.length === 0) throw this.#fail(body.number, `function ${body.name} is empty`);
    const lines = body.lines.map((line) => this.#refer(line));
    // Each line keeps its number, so that the assembler's messages name the file's lines.
    const text: string[] = new Array<string>(lines.at(-1)!.number).fill('');
    for (const line of lines)
      text[line.number - 1] += `${text[line.number - 1] === '' ? '' : ' '}${line.text}`;
    const assembly = assembleLlvm(text.join('\n'), {
      what: this.#file,
      helper: (name) => {
        const short = name.replace(/^bpf_/, '');
        return isHelper(short) ? helperId(short) : undefined;
      },
    });
    const slotOf = firstSlots(assembly.insns, assembly.lines);
    const relocs = lines.flatMap((line): BpfRelocInput[] =>
      line.reference === undefined ? [] : [{ insn: slotOf.get(line.number)!, ...line.reference }],
    );
    return { name: body.name, section: body.section, insns: assembly.bytes, static: body.static, relocs };
  }

  /** What the line refers to by name, taken out of it. */
  #refer(line: Line): Line {
    const text = line.text.replace(/;$/, '').trim();
    const load = LOAD.exec(text);
    if (load !== null) {
      const [, register, name] = load;
      const kind = this.#maps.some((map) => map.name === name)
        ? 'map'
        : this.#isFunction(name!)
          ? 'func'
          : undefined;
      if (kind === undefined)
        throw this.#fail(line.number, `${name} is neither a map nor a function of this file`);
      return { ...line, text: `${register} = 0 ll`, reference: { kind, symbol: name! } };
    }
    const call = CALL.exec(text);
    if (call !== null && this.#isFunction(call[1]!)) {
      return { ...line, text: 'call -1', reference: { kind: 'call', symbol: call[1]! } };
    }
    return line;
  }

  #isFunction(name: string): boolean {
    return this.#bodies.some((body) => body.name === name);
  }
}

/** The first slot of each line that has an instruction. */
function firstSlots(insns: readonly Insn[], lines: readonly number[]): ReadonlyMap<number, number> {
  const first = new Map<number, number>();
  let slot = 0;
  for (const [i, insn] of insns.entries()) {
    const line = lines[i]!;
    if (!first.has(line)) first.set(line, slot);
    slot += slots(insn);
  }
  return first;
}

/** `#` begins a comment at a line's start and behind white space. */
function withoutComment(line: string): string {
  return line.replace(/(^|\s)#.*$/, '').replace(/\/\/.*$/, '');
}
