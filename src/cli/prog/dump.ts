import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { InputError } from '../../base/error.ts';
import type { Fd, ProgInfo } from '../../sys/index.ts';
import { hexJson, hexText } from '../grammar/bytes.ts';
import type { Call } from '../grammar/call.ts';
import type { JsonWriter } from '../grammar/json-writer.ts';
import { errnoOf, strerror, Usage } from '../grammar/refusal.ts';
import { infoOf, takePrograms } from '../grammar/selectors.ts';
import type { World } from '../world/world.ts';
import { graphText } from './graph.ts';
import { type ListedInsn, listProgram, programTypes } from './listing.ts';
import { programHeaderJson, programHeaderText } from './show.ts';

interface Options {
  readonly mode: 'xlated' | 'jited';
  file: string | undefined;
  opcodes: boolean;
  visual: boolean;
  linum: boolean;
}

/** `prog dump xlated|jited PROG [file F | opcodes linum visual]`. */
export async function dumpPrograms(call: Call): Promise<void> {
  const { words, out } = call;
  const mode = words.accept('jited') ? 'jited' : words.accept('xlated') ? 'xlated' : undefined;
  if (mode === undefined) {
    throw new InputError('cli-prog', `expected 'xlated' or 'jited', got: ${words.peek() ?? '(null)'}`);
  }
  if (words.left < 2) throw new Usage();
  const world = await call.world();
  const fds = takePrograms(call, world);
  const several = fds.length > 1;
  const options = takeOptions(call, mode, several);
  if (several) out.json?.startArray();
  try {
    for (const [i, fd] of fds.entries()) {
      const info = infoOf(world.kernel, fd, 'prog');
      if (several) {
        if (out.json) {
          out.json.startObject();
          programHeaderJson(out.json, world.kernel, info);
          out.json.name('insns');
        } else out.print(programHeaderText(world.kernel, info));
      }
      await dump(call, world, fd, info, options);
      if (several) {
        if (out.json) out.json.endObject();
        else if (i < fds.length - 1) out.print('\n');
      }
    }
  } finally {
    if (several) out.json?.endArray();
  }
}

function takeOptions({ words, out }: Call, mode: Options['mode'], several: boolean): Options {
  const options: Options = { mode, file: undefined, opcodes: false, visual: false, linum: false };
  const one = () => {
    if (several) throw new InputError('cli-prog', 'several programs matched');
  };
  while (words.left > 0) {
    if (words.accept('file')) {
      if (words.left === 0) throw new InputError('cli-prog', 'expected file path');
      one();
      options.file = words.take();
    } else if (words.accept('opcodes')) options.opcodes = true;
    else if (words.accept('visual')) {
      one();
      options.visual = true;
    } else if (words.accept('linum')) options.linum = true;
    else throw new Usage(words.near(['file', 'opcodes', 'visual', 'linum']));
  }
  if (options.file !== undefined && (options.opcodes || options.visual || options.linum)) {
    throw new InputError('cli-prog', "'file' is not compatible with 'opcodes', 'visual', or 'linum'");
  }
  if (out.json && options.visual) {
    throw new InputError('cli-prog', "'visual' is not compatible with JSON output");
  }
  return options;
}

async function dump(call: Call, world: World, fd: Fd, info: ProgInfo, options: Options): Promise<void> {
  const { out } = call;
  if (options.mode === 'jited') {
    const { dumpJited } = await import('./jited.ts');
    dumpJited(call, world, fd, info, options);
    return;
  }
  if (info.xlated_prog_insns.length === 0) {
    throw new InputError('cli-prog', 'error retrieving insn dump: kernel.kptr_restrict set?');
  }
  if (options.file !== undefined) {
    writeDump(call, options.file, info.xlated_prog_insns);
    return;
  }
  const insns = listProgram(world, info, programTypes(world.kernel, info));
  if (out.json) listJson(out.json, insns, options);
  else if (options.visual) out.print(graphText(insns, options));
  else out.print(listText(insns, options));
}

/** `file F`: the bytes alone. */
export function writeDump(call: Call, file: string, bytes: Uint8Array): void {
  try {
    writeFileSync(resolve(call.io.cwd, file), bytes, { mode: 0o600 });
  } catch (error) {
    const errno = errnoOf(error);
    throw new InputError('cli-write', `can't open file ${file}: ${strerror(error)}`, {
      cause: error,
      ...(errno !== undefined && { errno }),
    });
  }
  call.out.done();
}

function listText(insns: readonly ListedInsn[], { opcodes, linum }: Options): string {
  let text = '';
  for (const { index, slots, bytes, text: insn, proto, source } of insns) {
    if (proto !== undefined) text += `${proto}:\n`;
    if (source !== undefined && source.text !== '') {
      const place = linum ? ` [file:${source.file} line_num:${source.line} line_col:${source.column}]` : '';
      text += `; ${source.text}${place}\n`;
    }
    text += `${String(index).padStart(4)}: ${insn}\n`;
    if (opcodes) {
      text += `       ${hexText(bytes.subarray(0, 8))}${slots === 2 ? ` ${hexText(bytes.subarray(8))}` : ''}\n`;
    }
  }
  return text;
}

function listJson(json: JsonWriter, insns: readonly ListedInsn[], { opcodes, linum }: Options): void {
  json.startArray();
  for (const { slots, slot, bytes, text, proto, source } of insns) {
    json.startObject();
    if (proto !== undefined) json.field('proto', proto);
    if (source !== undefined && source.text !== '') {
      json.field('src', source.text);
      if (linum) {
        if (source.file !== '') json.field('file', source.file);
        if (source.line !== 0) json.field('line_num', source.line);
        if (source.column !== 0) json.field('line_col', source.column);
      }
    }
    json.field('disasm', text);
    if (opcodes) {
      json.name('opcodes').startObject();
      json.field('code', `0x${slot.code.toString(16).padStart(2, '0')}`);
      json.field('src_reg', `0x${slot.src.toString(16)}`).field('dst_reg', `0x${slot.dst.toString(16)}`);
      json.name('off');
      hexJson(json, bytes.subarray(2, 4));
      json.name('imm');
      hexJson(json, bytes.subarray(4, slots === 2 ? 16 : 8));
      json.endObject();
    }
    json.endObject();
  }
  json.endArray();
}
