/** The BTF and function records of a verifier case that says which functions it has. */
import { type Btf, BtfBuilder, type BtfTypeId, VOID } from '../../src/btf/index.ts';

/** A function of the program: where it begins, and what its declaration says. */
export interface CaseFunc {
  readonly name: string;
  /** As a parameter; default `int`. */
  readonly returns?: string;
  readonly slot: number;
  readonly linkage: 'static' | 'global';
  /** `u64`, or `*NAME`, a pointer to a struct of that name and eight bytes. */
  readonly params: readonly string[];
}

export interface CaseBtf {
  readonly bytes: Uint8Array;
  readonly btf: Btf;
  /** Records of `struct bpf_func_info`. */
  readonly funcInfo: Uint8Array;
}

/** @throws Error for a line that is no function */
export function parseFunc(text: string, where: string): CaseFunc {
  const [declared = '', slot, linkage, ...params] = text.split(/\s+/);
  const [name = '', returns] = declared.split(':');
  if (linkage !== 'static' && linkage !== 'global') {
    throw new Error(`${where}: .func NAME[:RETURNS] SLOT static|global PARAM…`);
  }
  return { name, ...(returns && { returns }), slot: Number(slot), linkage, params };
}

export function caseBtf(funcs: readonly CaseFunc[]): CaseBtf | undefined {
  if (funcs.length === 0) return undefined;
  const builder = new BtfBuilder();
  const int = builder.intern({ kind: 'int', name: 'int', size: 4, encoding: 1, bits: 32, bitOffset: 0 });
  const u64 = builder.intern({ kind: 'int', name: 'u64', size: 8, encoding: 0, bits: 64, bitOffset: 0 });
  const typeOf = (param: string): BtfTypeId => {
    if (param === 'u64') return u64;
    const name = param.slice(1);
    if (name === 'void') return builder.intern({ kind: 'ptr', type: VOID });
    const members = [{ name: 'value', type: u64, bitOffset: 0, bitSize: 0 }];
    const struct = builder.intern({ kind: 'struct', name, size: 8, members, bitfields: false });
    return builder.intern({ kind: 'ptr', type: struct });
  };
  const funcInfo = new Uint8Array(funcs.length * 8);
  const view = new DataView(funcInfo.buffer);
  for (const [i, { name, returns, slot, linkage, params }] of funcs.entries()) {
    const proto = builder.add({
      kind: 'func_proto',
      returns: returns === undefined ? int : typeOf(returns),
      params: params.map((param, at) => ({ name: `arg${at}`, type: typeOf(param) })),
    });
    view.setUint32(i * 8, slot, true);
    view.setUint32(i * 8 + 4, builder.add({ kind: 'func', name, type: proto, linkage }), true);
  }
  return { bytes: builder.encode(), btf: builder.build('case'), funcInfo };
}
