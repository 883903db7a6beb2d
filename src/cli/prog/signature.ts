/** Functions and types as bpftool names them in front of a listing: `int count(struct xdp_md * ctx)`. */
import type { Btf, BtfTypeId } from '../../btf/index.ts';

const DEEPEST = 32;

/** A type, with a blank behind it. */
function typeText(btf: Btf, id: BtfTypeId, depth = 0): string {
  if (depth > DEEPEST) return '? ';
  const type = btf.type(id);
  switch (type.kind) {
    case 'void':
      return 'void ';
    case 'int':
    case 'float':
    case 'typedef':
      return `${type.name} `;
    case 'struct':
    case 'union':
    case 'enum':
      return `${type.kind} ${type.name} `;
    case 'enum64':
      return `enum ${type.name} `;
    case 'fwd':
      return `${type.of} ${type.name} `;
    case 'array':
      return `${typeText(btf, type.type, depth + 1)}[${type.length}]`;
    case 'ptr':
      return `${typeText(btf, type.type, depth + 1)}* `;
    case 'const':
    case 'volatile':
    case 'restrict':
      return `${type.kind} ${typeText(btf, type.type, depth + 1)}`;
    case 'type_tag':
      return typeText(btf, type.type, depth + 1);
    case 'func':
      return protoText(btf, type.type, type.name, depth + 1);
    case 'func_proto':
      return protoText(btf, id, undefined, depth + 1);
    default:
      return '';
  }
}

function protoText(btf: Btf, id: BtfTypeId, name: string | undefined, depth: number): string {
  const proto = btf.type(id);
  if (proto.kind !== 'func_proto') return '';
  const params = proto.params.map((param) =>
    param.type === 0 && param.name === '' ? '...' : `${typeText(btf, param.type, depth)}${param.name}`,
  );
  return `${typeText(btf, proto.returns, depth)}${name ?? ''}(${params.join(', ')})`;
}

/** A function's name with its types; empty for what is no function. */
export function signature(btf: Btf, id: BtfTypeId): string {
  return typeText(btf, id);
}
