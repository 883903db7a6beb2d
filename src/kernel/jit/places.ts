/** Context fields as the translator wants them, from the program type's field table. */
import type { Size } from '../../isa/index.ts';
import type { FieldAccess, FieldView } from '../net/field-view.ts';
import { SK_BUFF } from '../net/structs.ts';
import type { ContextPlaces, FieldPlace } from './unit.ts';

export function contextPlaces(view: FieldView): ContextPlaces {
  return {
    read: (offset, size) => {
      const access = view.access('read', offset, size);
      return access && readPlace(access, size);
    },
    write: (offset, size) => {
      const access = view.access('write', offset, size);
      return access && writePlace(access, size);
    },
  };
}

/** The struct that the path begins in: the object itself or, in an skb, the shared info behind its data. */
function path({ place: { hops, shinfo } }: FieldAccess): Pick<FieldPlace, 'via' | 'hops'> {
  const { head, end } = SK_BUFF.members;
  return { hops, ...(shinfo && { via: [head.offset, end.offset] as const }) };
}

function readPlace(access: FieldAccess, size: Size): FieldPlace {
  const { field, place, delta } = access;
  const plain = { ...path(access), nonzero: false, shiftLeft: 0, shiftRight: 0 };
  if (field.value !== 'scalar') return { ...plain, offset: place.offset, size: 8 };
  const { derive } = place;
  if (derive === 'value' && place.size >= field.size) return { ...plain, offset: place.offset + delta, size };
  return {
    ...plain,
    offset: place.offset,
    size: Math.min(place.size, 8) as Size,
    nonzero: derive === 'nonzero',
    shiftLeft: typeof derive === 'object' ? derive.shift : 0,
    shiftRight: delta * 8,
  };
}

function writePlace(access: FieldAccess, size: Size): FieldPlace {
  const { place, delta, below } = access;
  return {
    ...path(access),
    offset: place.offset + delta,
    size: Math.min(size, place.size) as Size,
    nonzero: false,
    shiftLeft: 0,
    shiftRight: 0,
    ...(below !== undefined && { below }),
  };
}
