/** Characters of a line of a string, without its backslash. */
const LINE = 78;

/** Bytes as the inside of a C string, broken into lines. */
export function hexString(bytes: Uint8Array): string {
  const parts: string[] = [];
  let length = 0;
  for (const byte of bytes) {
    const text = ESCAPES[byte]!;
    length += text.length;
    if (length > LINE) {
      parts.push('\\\n');
      length = text.length;
    }
    parts.push(text);
  }
  return parts.join('');
}

const ESCAPES: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte === 0 ? '\\0' : `\\x${byte.toString(16).padStart(2, '0')}`,
);
