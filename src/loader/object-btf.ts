/**
 * Completes an object's BTF as the kernel wants it: clang leaves the sizes of sections and the offsets of the variables
 * in them to the loader, and externs need places too.
 */
import { InputError } from '../base/error.ts';
import { type Btf, BtfBuilder, type BtfDatasec, type BtfTypeId, type BtfVarInfo } from '../btf/index.ts';
import { SYMBOL_BIND, SYMBOL_TYPE, SYMBOL_VISIBILITY } from '../elf/index.ts';
import { kconfigSize } from './externs.ts';
import type { ObjectFile } from './object-file.ts';
import type { ExternSpec } from './spec.ts';

/** The object's BTF with every DATASEC's size and offsets filled in; ids stay as they are. */
export function completeBtf(object: ObjectFile, externs: ReadonlyMap<string, ExternSpec>): Btf | undefined {
  const raw = object.rawBtf;
  if (!raw) return undefined;
  const builder = BtfBuilder.from(raw);
  for (const id of raw.ids()) {
    if (raw.kind(id) !== 'datasec') continue;
    const datasec = raw.typeOf(id, 'datasec');
    if (datasec.name === '.ksyms') builder.replace(id, ksymsSection(raw, builder, datasec));
    else if (datasec.name === '.kconfig') builder.replace(id, kconfigSection(raw, builder, datasec, externs));
    else builder.replace(id, dataSection(object, raw, datasec));
  }
  hideFunctions(object, raw, builder);
  return builder.build(raw.name);
}

/** Sizes and offsets from the symbol table, unless a linker has filled them in. */
function dataSection(object: ObjectFile, btf: Btf, datasec: BtfDatasec): BtfDatasec {
  const section = object.elf.sections.find((s) => s.name === datasec.name);
  if (!section || datasec.size !== 0) return sorted(datasec);
  const offsets = new Map<string, number>();
  for (const symbol of object.symbolsIn(section)) {
    // A static variable's name need not be its own, and the compiler does fill in its offset.
    if (symbol.type === SYMBOL_TYPE.object && symbol.bind !== SYMBOL_BIND.local) {
      offsets.set(symbol.name, symbol.value);
    }
  }
  const locals = localOffsets(object, datasec, btf);
  const vars = datasec.vars.map((info): BtfVarInfo => {
    const variable = btf.type(info.type);
    const name = btf.nameOf(info.type);
    if (variable.kind === 'var' && variable.linkage === 'static') {
      return { ...info, offset: locals?.get(info) ?? info.offset };
    }
    const offset = offsets.get(name);
    if (offset === undefined) {
      throw new InputError(
        'loader-btf-variable',
        `${btf.name}: DATASEC ${datasec.name} has a variable ${name}, ` +
          `but ${object.where(section)} at offset ${section.offset} has no such symbol; ` +
          `if another object has it, link them first (bpftool gen object)`,
      );
    }
    return { ...info, offset };
  });
  return sorted({ ...datasec, size: section.size, vars });
}

/**
 * gcc leaves the offsets of static variables 0, and a relocation says them; where the symbol table has exactly one
 * local symbol of that name, its place is known.
 */
function localOffsets(
  object: ObjectFile,
  datasec: BtfDatasec,
  btf: Btf,
): Map<BtfVarInfo, number> | undefined {
  const statics = datasec.vars.filter((info) => {
    const variable = btf.type(info.type);
    return variable.kind === 'var' && variable.linkage === 'static';
  });
  if (statics.length < 1 || statics.some((info) => info.offset !== 0)) return undefined;
  const section = object.elf.sections.find((s) => s.name === datasec.name);
  const symbols = section
    ? object.symbolsIn(section).filter((s) => s.type === SYMBOL_TYPE.object && s.bind === SYMBOL_BIND.local)
    : [];
  const places = new Map<BtfVarInfo, number>();
  for (const info of statics) {
    const name = btf.nameOf(info.type);
    const same = symbols.filter((s) => s.name === name || s.name.endsWith(`.${name}`));
    if (same.length === 1) places.set(info, same[0]!.value);
  }
  return places;
}

function sorted(datasec: BtfDatasec): BtfDatasec {
  return { ...datasec, vars: [...datasec.vars].sort((a, b) => a.offset - b.offset) };
}

/**
 * The kernel takes no extern in a DATASEC: each becomes a 4-byte variable, and extern functions, which have no place,
 * are stood for by a dummy.
 */
function ksymsSection(btf: Btf, builder: BtfBuilder, datasec: BtfDatasec): BtfDatasec {
  const int =
    existingInt(btf) ??
    builder.add({ kind: 'int', name: 'int', size: 4, encoding: 1, bits: 32, bitOffset: 0 });
  let dummy: BtfTypeId | undefined;
  const vars = datasec.vars.map((info, i): BtfVarInfo => {
    const target = btf.type(info.type);
    const place = { offset: i * 4, size: 4 };
    if (target.kind === 'func') {
      dummy ??= builder.add({ kind: 'var', name: 'dummy_ksym', type: int, linkage: 'global' });
      const proto = btf.typeOf(target.type, 'func_proto');
      const params = proto.params.map((p) =>
        p.name === '' && p.type !== 0 ? { ...p, name: 'dummy_ksym' } : p,
      );
      builder.replace(target.type, { ...proto, params });
      builder.replace(info.type, { ...target, linkage: 'global' });
      return { ...place, type: dummy };
    }
    if (target.kind === 'var') builder.replace(info.type, { ...target, type: int, linkage: 'global' });
    return { ...place, type: info.type };
  });
  return { ...datasec, size: vars.length * 4, vars };
}

function existingInt(btf: Btf): BtfTypeId | undefined {
  for (const id of btf.ids()) {
    const type = btf.type(id);
    if (type.kind === 'int' && type.size === 4 && type.bits === 32 && type.bitOffset === 0) return id;
  }
  return undefined;
}

function kconfigSection(
  btf: Btf,
  builder: BtfBuilder,
  datasec: BtfDatasec,
  externs: ReadonlyMap<string, ExternSpec>,
): BtfDatasec {
  const vars = datasec.vars.flatMap((info): BtfVarInfo[] => {
    const variable = btf.type(info.type);
    const entry = externs.get(btf.nameOf(info.type));
    if (variable.kind !== 'var' || entry?.kind !== 'kconfig') return [];
    builder.replace(info.type, { ...variable, linkage: 'global' });
    return [{ type: info.type, offset: entry.offset, size: entry.size }];
  });
  return sorted({ ...datasec, size: kconfigSize(externs), vars });
}

/** A function that is hidden from other objects is verified as a static one. */
function hideFunctions(object: ObjectFile, btf: Btf, builder: BtfBuilder): void {
  for (const symbol of object.elf.symbols) {
    if (symbol.type !== SYMBOL_TYPE.func || symbol.bind === SYMBOL_BIND.local) continue;
    if (symbol.visibility !== SYMBOL_VISIBILITY.hidden && symbol.visibility !== SYMBOL_VISIBILITY.internal)
      continue;
    if (object.role(symbol.section) !== 'text') continue;
    const id = btf.find(symbol.name, 'func');
    if (id !== undefined) builder.replace(id, { ...btf.typeOf(id, 'func'), linkage: 'static' });
  }
}
