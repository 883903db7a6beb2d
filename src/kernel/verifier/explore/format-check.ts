/** The format of `bpf_snprintf`, whose arguments are an array of 64-bit numbers. */
import { countConversions } from '../../helpers/format.ts';
import type { Explorer } from './explorer.ts';

/** Checks format and arguments of `bpf_snprintf(str, size, fmt, data, data_len)`. */
export function checkFormat(ex: Explorer): void {
  const frame = ex.state.frame();
  const format = frame.reg(3);
  const length = frame.reg(5).scalar.valueLo >>> 0;
  if (length % 8 !== 0) {
    ex.refuse('bad-argument', 'Invalid format string', {
      reason: `the arguments are 64-bit numbers, and their length is ${length}`,
    });
  }
  const map = format.map!;
  const off = format.off + format.scalar.constNumber();
  const bytes = map.contents?.(off, map.valueSize - off);
  if (bytes === undefined) return;
  const end = bytes.indexOf(0);
  const text = String.fromCharCode(...bytes.subarray(0, end < 0 ? bytes.length : end));
  const conversions = countConversions(text);
  if (conversions !== undefined && conversions <= length / 8) return;
  ex.refuse('bad-argument', 'Invalid format string', {
    reason: `the kernel can't print "${text}" with ${length / 8} arguments`,
    hint: 'see bpf_trace_printk() for the conversions that there are',
  });
}
