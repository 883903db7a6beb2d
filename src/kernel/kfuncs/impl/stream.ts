/** What programs print for who holds them. @see kernel/bpf/stream.c */
import { formatString, words } from '../../helpers/impl/print.ts';
import { err, s32, u32 } from '../../helpers/impl/values.ts';
import type { HelperImpl } from '../../interpreter/environment.ts';

/** Bytes of one text. @see include/linux/bpf.h, MAX_BPRINTF_BUF */
const MOST = 1024;

export const bpf_stream_vprintk_impl: HelperImpl = (run, stream, format, data, length) => {
  const streams = run.program.owner?.streams;
  const id = s32(stream);
  if (id !== 1 && id !== 2) return err('ENOENT');
  const args = words(run, data, BigInt(u32(length)));
  const found = args ? formatString(run, format, args, MOST) : 'EINVAL';
  if (typeof found === 'string') return err(found);
  return streams?.write(id, found.text) === false ? err('ENOSPC') : 0;
};
