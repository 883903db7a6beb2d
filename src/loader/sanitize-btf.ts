/**
 * BTF for kernels that are older than the compiler: kinds that a kernel does not know become ones of the same size that
 * it does, as libbpf replaces them, so that the rest can still be used.
 */
import { InputError } from '../base/error.ts';
import { type Btf, BtfBuilder, type BtfDeclaredType, type BtfTypeId } from '../btf/index.ts';
import type { Kernel } from '../sys/index.ts';

/** What a kernel may lack, each with a small BTF that tells. */
const PROBES = {
  func: (btf: BtfBuilder) => addFunc(btf, 'static'),
  globalFunc: (btf: BtfBuilder) => addFunc(btf, 'global'),
  datasec: (btf: BtfBuilder) => addDatasec(btf, '.data'),
  /** `?` in a section's name. */
  optionalDatasec: (btf: BtfBuilder) => addDatasec(btf, '?.data'),
  float: (btf: BtfBuilder) => void btf.add({ kind: 'float', name: 'float', size: 4 }),
  declTag: (btf: BtfBuilder) => {
    const type = btf.add({ kind: 'var', name: 'x', type: addInt(btf), linkage: 'static' });
    btf.add({ kind: 'decl_tag', name: 'tag', type, component: -1, attribute: false });
  },
  typeTag: (btf: BtfBuilder) => {
    const type = btf.add({ kind: 'type_tag', name: 'tag', type: addInt(btf), attribute: false });
    btf.add({ kind: 'ptr', type });
  },
  enum64: (btf: BtfBuilder) =>
    void btf.add({ kind: 'enum64', name: 'e', size: 8, signed: false, values: [{ name: 'v', value: 0n }] }),
} as const satisfies Record<string, (btf: BtfBuilder) => void>;

type Feature = keyof typeof PROBES;

function addInt(btf: BtfBuilder): BtfTypeId {
  return btf.add({ kind: 'int', name: 'int', size: 4, encoding: 1, bits: 32, bitOffset: 0 });
}

function addFunc(btf: BtfBuilder, linkage: 'static' | 'global'): void {
  const type = btf.add({ kind: 'func_proto', returns: addInt(btf), params: [] });
  btf.add({ kind: 'func', name: 'f', type, linkage });
}

function addDatasec(btf: BtfBuilder, name: string): void {
  const type = btf.add({ kind: 'var', name: 'x', type: addInt(btf), linkage: 'static' });
  btf.add({ kind: 'datasec', name, size: 4, vars: [{ type, offset: 0, size: 4 }] });
}

function accepts(kernel: Kernel, feature: Feature): boolean {
  const btf = new BtfBuilder();
  PROBES[feature](btf);
  try {
    kernel.closeFd(kernel.bpf.btf_load({ btf: btf.encode() }));
    return true;
  } catch (error) {
    if (error instanceof InputError) return false;
    throw error;
  }
}

/** What {@link sanitizeBtf} makes. */
export interface SanitizedBtf {
  readonly bytes: Uint8Array;
  /** The kernel knows functions: programs may be loaded with records about theirs. */
  readonly functions: boolean;
}

/**
 * The BTF with what the kernel does not know replaced.
 *
 * @returns `undefined` when the kernel knows every kind: then it was refused for another reason
 */
export function sanitizeBtf(kernel: Kernel, btf: Btf): SanitizedBtf | undefined {
  const lacking = new Set((Object.keys(PROBES) as Feature[]).filter((feature) => !accepts(kernel, feature)));
  if (lacking.size === 0) return undefined;
  const builder = BtfBuilder.from(btf);
  let filler: BtfTypeId | undefined;
  for (const id of btf.ids()) {
    const type = btf.type(id);
    if (type.kind === 'enum64' && lacking.has('enum64')) filler ??= addInt(builder);
    const replaced = type.kind === 'void' ? undefined : replacement(btf, type, lacking, filler);
    if (replaced) builder.replace(id, replaced);
  }
  return { bytes: builder.encode(), functions: !lacking.has('func') };
}

/** What stands in for a type that the kernel does not know. */
function replacement(
  btf: Btf,
  type: BtfDeclaredType,
  lacking: ReadonlySet<Feature>,
  filler: BtfTypeId | undefined,
): BtfDeclaredType | undefined {
  const byte = { kind: 'int', name: 'char', size: 1, encoding: 0, bits: 8, bitOffset: 0 } as const;
  switch (type.kind) {
    case 'var':
      return lacking.has('datasec') ? { ...byte, name: type.name } : undefined;
    case 'decl_tag':
      return lacking.has('declTag') ? byte : undefined;
    case 'datasec': {
      const name = type.name.replace(/[.?]/g, '_');
      if (!lacking.has('datasec')) {
        const optional = type.name.startsWith('?') && lacking.has('optionalDatasec');
        return optional ? { ...type, name } : undefined;
      }
      const members = type.vars.map((v) => {
        return { name: btf.nameOf(v.type), type: v.type, bitOffset: v.offset * 8, bitSize: 0 };
      });
      return { kind: 'struct', name, size: type.size, bitfields: false, members };
    }
    case 'func_proto':
      if (!lacking.has('func')) return undefined;
      return {
        kind: 'enum',
        name: '',
        size: 4,
        signed: false,
        values: type.params.map((p, i) => ({ name: p.name || `arg${i}`, value: i })),
      };
    case 'func':
      if (lacking.has('func')) return { kind: 'typedef', name: type.name, type: type.type };
      return lacking.has('globalFunc') && type.linkage === 'global'
        ? { ...type, linkage: 'static' }
        : undefined;
    case 'float':
      if (!lacking.has('float')) return undefined;
      return { kind: 'struct', name: type.name, size: type.size, bitfields: false, members: [] };
    case 'type_tag':
      return lacking.has('typeTag') ? { kind: 'const', type: type.type } : undefined;
    case 'enum':
      return lacking.has('enum64') && type.signed ? { ...type, signed: false } : undefined;
    case 'enum64': {
      if (!lacking.has('enum64') || filler === undefined) return undefined;
      const members = type.values.map((v) => ({ name: v.name, type: filler, bitOffset: 0, bitSize: 0 }));
      return { kind: 'union', name: type.name, size: type.size, bitfields: false, members };
    }
    default:
      return undefined;
  }
}
