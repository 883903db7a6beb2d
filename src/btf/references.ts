import type { BtfDeclaredType, BtfTypeId } from './type.ts';

/** The type with its references turned into others. */
export function withReferences(type: BtfDeclaredType, id: (old: BtfTypeId) => BtfTypeId): BtfDeclaredType {
  switch (type.kind) {
    case 'array':
      return { ...type, type: id(type.type), indexType: id(type.indexType) };
    case 'struct':
    case 'union':
      return { ...type, members: type.members.map((member) => ({ ...member, type: id(member.type) })) };
    case 'func_proto':
      return {
        ...type,
        returns: id(type.returns),
        params: type.params.map((param) => ({ ...param, type: id(param.type) })),
      };
    case 'datasec':
      return { ...type, vars: type.vars.map((variable) => ({ ...variable, type: id(variable.type) })) };
    default:
      return 'type' in type ? { ...type, type: id(type.type) } : type;
  }
}
