/**
 * C struct layouts, declared once: offsets, padding and size follow from the members' types by the rules of the
 * System V ABI (natural alignment), which is also the layout of every Linux UAPI struct.
 *
 * Scalars of up to four bytes read as `number`, eight-byte ones as `bigint`.
 */

/** A member's type: how large, how aligned, and how its value is read from and written to memory. */
export interface Layout<T> {
  readonly size: number;
  readonly align: number;
  read(view: DataView, offset: number, littleEndian?: boolean): T;
  write(view: DataView, offset: number, value: T, littleEndian?: boolean): void;
}

type Getter<T> = (this: DataView, offset: number, littleEndian?: boolean) => T;
type Setter<T> = (this: DataView, offset: number, value: T, littleEndian?: boolean) => void;

function scalar<T>(size: number, get: Getter<T>, set: Setter<T>): Layout<T> {
  return {
    size,
    align: size,
    read: (view, offset, littleEndian = true) => get.call(view, offset, littleEndian),
    write: (view, offset, value, littleEndian = true) => set.call(view, offset, value, littleEndian),
  };
}

const view = DataView.prototype;
export const u8 = scalar<number>(1, view.getUint8, view.setUint8);
export const s8 = scalar<number>(1, view.getInt8, view.setInt8);
export const u16 = scalar<number>(2, view.getUint16, view.setUint16);
export const s16 = scalar<number>(2, view.getInt16, view.setInt16);
export const u32 = scalar<number>(4, view.getUint32, view.setUint32);
export const s32 = scalar<number>(4, view.getInt32, view.setInt32);
export const u64 = scalar<bigint>(8, view.getBigUint64, view.setBigUint64);
export const s64 = scalar<bigint>(8, view.getBigInt64, view.setBigInt64);

/** A fixed run of bytes (`__u8 tag[8]`). Reading copies; a shorter value is padded with zeros. */
export function bytes(size: number): Layout<Uint8Array> {
  return {
    size,
    align: 1,
    read: (view, offset) => new Uint8Array(view.buffer, view.byteOffset + offset, size).slice(),
    write: (view, offset, value) => {
      const target = new Uint8Array(view.buffer, view.byteOffset + offset, size);
      target.fill(0);
      target.set(value.subarray(0, size));
    },
  };
}

/** A fixed run of elements (`__u32 remote_ip6[4]`). */
export function array<T>(element: Layout<T>, length: number): Layout<readonly T[]> {
  return {
    size: element.size * length,
    align: element.align,
    read: (view, offset, littleEndian) =>
      Array.from({ length }, (_, i) => element.read(view, offset + i * element.size, littleEndian)),
    write: (view, offset, value, littleEndian) => {
      for (const [i, item] of value.entries()) {
        if (i < length) element.write(view, offset + i * element.size, item, littleEndian);
      }
    },
  };
}

type ValueOf<L> = L extends Layout<infer T> ? T : never;

/** The values of a struct's members. */
export type Fields<M> = { readonly [K in keyof M]: ValueOf<M[K]> };

/** A struct's layout with the place of each member. */
export interface StructLayout<M> extends Layout<Fields<M>> {
  readonly members: { readonly [K in keyof M]: { readonly offset: number; readonly size: number } };
  /** Writes the members that are given and leaves the others as they are. */
  patch(view: DataView, offset: number, value: Partial<Fields<M>>, littleEndian?: boolean): void;
}

/** The next multiple of `align`. */
export function alignUp(offset: number, align: number): number {
  return Math.ceil(offset / align) * align;
}

/** Declares a struct. Members stand in declaration order; nested structs and arrays are members like any other. */
export function struct<M extends { readonly [K in keyof M]: Layout<ValueOf<M[K]>> }>(
  members: M,
): StructLayout<M> {
  const entries = Object.entries(members) as [keyof M & string, Layout<unknown>][];
  const places: Record<string, { offset: number; size: number }> = {};
  let end = 0;
  let align = 1;
  for (const [name, layout] of entries) {
    const offset = alignUp(end, layout.align);
    places[name] = { offset, size: layout.size };
    end = offset + layout.size;
    align = Math.max(align, layout.align);
  }
  const patch: StructLayout<M>['patch'] = (view, offset, value, littleEndian) => {
    for (const [name, layout] of entries) {
      const given = value[name];
      if (given !== undefined) layout.write(view, offset + places[name]!.offset, given, littleEndian);
    }
  };
  return {
    size: alignUp(end, align),
    align,
    members: places as StructLayout<M>['members'],
    read: (view, offset, littleEndian) =>
      Object.fromEntries(
        entries.map(([name, layout]) => [
          name,
          layout.read(view, offset + places[name]!.offset, littleEndian),
        ]),
      ) as Fields<M>,
    write: patch,
    patch,
  };
}
