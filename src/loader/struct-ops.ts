/** `.struct_ops` sections: variables whose members are programs that the kernel will call. */
import { InputError } from '../base/error.ts';
import { type Btf, resolve, resolveType, VOID } from '../btf/index.ts';
import { SYMBOL_TYPE } from '../elf/index.ts';
import { kernelName } from './data-maps.ts';
import type { ObjectFile } from './object-file.ts';
import type { MapSpec } from './spec.ts';

/** Reads the struct_ops maps: the struct's bytes, and which program stands at which offset. */
export function parseStructOps(object: ObjectFile, btf: Btf | undefined): MapSpec[] {
  return object.sectionsOf('struct_ops').flatMap((section) => {
    const id = btf?.find(section.name, 'datasec');
    if (!btf || id === undefined) {
      throw new InputError(
        'loader-struct-ops',
        `${object.where(section)}: the object has no BTF for it; compile with -g`,
      );
    }
    const relocs = object.relocsOf(section);
    return btf.typeOf(id, 'datasec').vars.map((info): MapSpec => {
      const variable = btf.typeOf(info.type, 'var');
      const type = resolve(btf, variable.type);
      const struct = resolveType(btf, type);
      const what = `${object.where(section)}: ${variable.name} at offset ${info.offset}`;
      if (struct.kind !== 'struct' || info.offset + struct.size > section.data.length) {
        throw new InputError('loader-struct-ops', `${what} is not a struct inside the section`);
      }
      const funcs = relocs
        .filter(({ reloc }) => reloc.offset >= info.offset && reloc.offset < info.offset + struct.size)
        .map(({ reloc, symbol, what: place }) => {
          if (symbol.type !== SYMBOL_TYPE.func) {
            throw new InputError('loader-struct-ops', `${place}: it does not name a function`);
          }
          return { offset: reloc.offset - info.offset, program: symbol.name };
        });
      return {
        name: variable.name,
        kernelName: kernelName(variable.name),
        origin: 'struct_ops',
        type: 'struct_ops',
        keySize: 4,
        valueSize: struct.size,
        maxEntries: 1,
        flags: 0,
        numaNode: undefined,
        extra: 0n,
        keyType: VOID,
        valueType: VOID,
        pin: undefined,
        inner: undefined,
        slots: [],
        data: section.data.slice(info.offset, info.offset + struct.size),
        frozen: false,
        id: 0,
        structOps: {
          type,
          typeName: struct.name,
          link: section.name.endsWith('.link'),
          autocreate: !section.name.startsWith('?'),
          funcs,
        },
      };
    });
  });
}
