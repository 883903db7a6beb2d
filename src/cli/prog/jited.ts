import { InputError } from '../../base/error.ts';
import type { BtfTypeId } from '../../btf/index.ts';
import type { Fd, ProgInfo } from '../../sys/index.ts';
import { hexText } from '../grammar/bytes.ts';
import type { Call } from '../grammar/call.ts';
import type { World } from '../world/world.ts';
import { writeDump } from './dump.ts';
import { programTypes } from './listing.ts';
import { signature } from './signature.ts';
import { moduleText } from './wasm-text.ts';

/** Bytes of machine code in a row. */
const ROW = 16;

interface Options {
  readonly file: string | undefined;
}

/**
 * What the compiler made of a program: on the embedded kernel the text of its WebAssembly, on Linux the bytes of its machine
 * code, function by function.
 */
export function dumpJited(call: Call, world: World, fd: Fd, info: ProgInfo, { file }: Options): void {
  const module = world.compiledModule(fd);
  const code = module ?? info.jited?.insns;
  if (code === undefined || code.length === 0) {
    throw new InputError('cli-prog', 'no instructions returned', {
      detail: 'the program is not compiled, or kernel.kptr_restrict hides its code',
    });
  }
  if (file !== undefined) {
    writeDump(call, file, code);
    return;
  }
  if (module) webAssembly(call, module);
  else machineCode(call, world, info);
}

function webAssembly({ out }: Call, module: Uint8Array): void {
  const lines = moduleText(module);
  const { json } = out;
  if (!json) {
    out.print(`${lines.join('\n')}\n`);
    return;
  }
  json.startArray();
  for (const [pc, line] of lines.entries()) {
    const [operation = '', ...operands] = line.trim().split(' ');
    json.startObject().field('pc', pc).field('operation', operation).name('operands').startArray();
    for (const operand of operands) json.value(operand);
    json.endArray().endObject();
  }
  json.endArray();
}

function machineCode({ out }: Call, world: World, info: ProgInfo): void {
  const { json } = out;
  const jited = info.jited!;
  const lengths = jited.func_lens.length > 0 ? jited.func_lens : [jited.insns.length];
  const btf = programTypes(world.kernel, info);
  const view = new DataView(info.func_info.buffer, info.func_info.byteOffset, info.func_info.length);
  json?.startArray();
  let start = 0;
  for (const [i, length] of lengths.entries()) {
    const address = jited.ksyms[i];
    const name =
      address === undefined
        ? 'unknown'
        : (world.symbolAt(address) ?? `0x${address.toString(16).padStart(16, '0')}`);
    const proto =
      btf && view.byteLength >= (i + 1) * 8
        ? signature(btf, view.getUint32(i * 8 + 4, true) as BtfTypeId)
        : '';
    const code = jited.insns.subarray(start, start + length);
    start += length;
    if (json) {
      json.startObject();
      if (proto !== '') json.field('proto', proto);
      json.field('name', name).name('insns').startArray();
    } else out.print(`${proto === '' ? '' : `${proto}:\n`}${name}:\n`);
    for (let at = 0; at < code.length; at += ROW) {
      const row = code.subarray(at, at + ROW);
      if (json) {
        json
          .startObject()
          .field('pc', `0x${at.toString(16)}`)
          .field('operation', '.byte')
          .name('operands')
          .startArray();
        for (const byte of row) json.value(`0x${byte.toString(16).padStart(2, '0')}`);
        json.endArray().endObject();
      } else out.print(`${at.toString(16).padStart(4)}:\t${hexText(row)}\n`);
    }
    if (json) json.endArray().endObject();
    else out.print('\n');
  }
  json?.endArray();
}
