/** Copying and comparing short runs of bytes, for which the engine's own functions cost more than the work. */

const SHORT: u32 = 96;

export function copy(to: u32, from: u32, size: u32): void {
  if (size > SHORT) {
    memory.copy(to, from, size);
    return;
  }
  while (size >= 8) {
    store<u64>(to, load<u64>(from));
    to += 8;
    from += 8;
    size -= 8;
  }
  if (size & 4) {
    store<u32>(to, load<u32>(from));
    to += 4;
    from += 4;
  }
  if (size & 2) {
    store<u16>(to, load<u16>(from));
    to += 2;
    from += 2;
  }
  if (size & 1) store<u8>(to, load<u8>(from));
}

export function same(a: u32, b: u32, size: u32): bool {
  while (size >= 8) {
    if (load<u64>(a) !== load<u64>(b)) return false;
    a += 8;
    b += 8;
    size -= 8;
  }
  if (size & 4) {
    if (load<u32>(a) !== load<u32>(b)) return false;
    a += 4;
    b += 4;
  }
  if (size & 2) {
    if (load<u16>(a) !== load<u16>(b)) return false;
    a += 2;
    b += 2;
  }
  return (size & 1) === 0 || load<u8>(a) === load<u8>(b);
}
