import { ByteView } from '../base/bytes.ts';
import { InputError } from '../base/error.ts';
import { BTF_MAGIC } from './kinds.ts';

/** Bytes of the header that every BTF has. */
export const BTF_HEADER_SIZE = 24;

/** Where a BTF's parts are, as offsets into its bytes. */
export interface BtfHeader {
  readonly littleEndian: boolean;
  readonly version: number;
  readonly flags: number;
  readonly length: number;
  readonly types: { readonly offset: number; readonly size: number };
  readonly strings: { readonly offset: number; readonly size: number };
}

/** The byte order that the magic number tells. */
export function byteOrder(bytes: Uint8Array, what: string, origin: number): boolean {
  if (bytes.length < 8) {
    throw new InputError(
      'btf-truncated',
      `${what}: a BTF header needs at least 8 bytes at offset ${origin}, but the data has ${bytes.length}`,
    );
  }
  const little = bytes[0]! | (bytes[1]! << 8);
  if (little === BTF_MAGIC) return true;
  if ((((little & 0xff) << 8) | (little >> 8)) === BTF_MAGIC) return false;
  throw new InputError(
    'btf-magic',
    `${what}: no BTF at offset ${origin}: the magic number is 0x${little.toString(16).padStart(4, '0')}, not 0xeb9f`,
  );
}

/** Reads the header. A longer one than known is accepted: what it says beyond the known fields is not used. */
export function readHeader(bytes: Uint8Array, what: string, origin: number): BtfHeader {
  const littleEndian = byteOrder(bytes, what, origin);
  const view = new ByteView(bytes, what, littleEndian, origin);
  const version = view.u8(2, 'version');
  const flags = view.u8(3, 'flags');
  const length = view.u32(4, 'header length');
  if (version !== 1) {
    throw new InputError(
      'btf-version',
      `${what}: BTF version ${version} at offset ${origin + 2} is unknown (1 is known)`,
    );
  }
  if (length < BTF_HEADER_SIZE) {
    throw new InputError(
      'btf-header',
      `${what}: the header length ${length} at offset ${origin + 4} is less than ${BTF_HEADER_SIZE}`,
    );
  }
  view.check(0, length, 'header');
  const part = (at: number, item: string): { offset: number; size: number } => {
    const offset = length + view.u32(at, `${item} offset`);
    const size = view.u32(at + 4, `${item} size`);
    view.check(offset, size, item);
    return { offset, size };
  };
  const types = part(8, 'type section');
  const strings = part(16, 'string section');
  if (types.offset % 4 !== 0 || types.size % 4 !== 0) {
    throw new InputError(
      'btf-header',
      `${what}: the type section at offset ${origin + types.offset} (${types.size} bytes) is not aligned to 4 bytes`,
    );
  }
  if (
    types.offset < strings.offset + strings.size &&
    strings.offset < types.offset + types.size &&
    types.size > 0
  ) {
    throw new InputError(
      'btf-header',
      `${what}: the type section at offset ${origin + types.offset} and the string section at ` +
        `${origin + strings.offset} overlap`,
    );
  }
  return { littleEndian, version, flags, length, types, strings };
}
