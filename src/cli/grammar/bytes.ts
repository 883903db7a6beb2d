/** Bytes as bpftool prints them. */
import type { JsonWriter } from './json-writer.ts';

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));
const ROW = 16;

/** Sixteen a row, a wider gap in the middle. */
export function hexText(bytes: Uint8Array, separator = ' '): string {
  let text = '';
  for (const [i, byte] of bytes.entries()) {
    if (i > 0) text += i % ROW === 0 ? '\n' : i % (ROW / 2) === 0 ? '  ' : separator;
    text += HEX[byte]!;
  }
  return text;
}

/** `["0x00","0xff"]`. */
export function hexJson(json: JsonWriter, bytes: Uint8Array): void {
  json.startArray();
  for (const byte of bytes) json.raw(`"0x${HEX[byte]!}"`);
  json.endArray();
}

/** Rows of sixteen bytes with their place, and what is printable beside them. */
export function dumpText(bytes: Uint8Array): string {
  const rows: string[] = [];
  for (let at = 0; at < bytes.length; at += ROW) {
    let hex = '';
    let ascii = '';
    for (let i = 0; i < ROW; i++) {
      const byte = bytes[at + i];
      hex += (byte === undefined ? '  ' : HEX[byte]!) + (i % 2 === 1 ? ' ' : '');
      if (byte === undefined) continue;
      ascii += (byte >= 0x20 && byte <= 0x7e ? String.fromCharCode(byte) : '.') + (i === 7 ? ' ' : '');
    }
    rows.push(`${at.toString(16).padStart(7, '0')}\t${hex}| ${ascii}\n`);
  }
  return rows.join('');
}
