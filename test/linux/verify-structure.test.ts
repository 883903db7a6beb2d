/** Linux's own answers to the programs whose structure the verifier judges. */
import { afterAll, describe, expect, it } from 'vitest';
import { InputError } from '../../src/base/error.ts';
import type { Fd } from '../../src/sys/index.ts';
import { ACCEPTED, bytes, type Raw, REFUSED } from '../verifier/structure-cases.ts';
import { linux, needsLinux, theLinux } from './support.ts';

const fds = new Map<number, Fd>();

/** This kernel's map for a case's fd. */
function mapFor(fd: number): number {
  if (fd === 0 || (fd > 5 && fd < 100) || linux === undefined) return fd;
  let real = fds.get(fd);
  if (real === undefined) {
    real = theLinux().bpf.map_create({
      map_type: fd === 5 ? 'hash' : 'array',
      key_size: 4,
      value_size: 8,
      max_entries: fd === 4 || fd === 5 ? 4 : 1,
    });
    fds.set(fd, real);
  }
  return real;
}

const withMaps = (slots: readonly Raw[]): Raw[] =>
  slots.map((slot): Raw => {
    const [code, dst = 0, src = 0, off = 0, imm = 0] = slot;
    return code === 0x18 && (src === 1 || src === 2) ? [code, dst, src, off, mapFor(imm)] : slot;
  });

function answer(slots: readonly Raw[]): { errno: string; log: string } | 'accepted' {
  try {
    const { fd } = theLinux().bpf.prog_load({
      prog_type: 'socket_filter',
      insns: bytes(withMaps(slots)),
      license: 'GPL',
      log_level: 1,
    });
    theLinux().closeFd(fd);
    return 'accepted';
  } catch (error) {
    if (error instanceof InputError && error.errno) return { errno: error.errno, log: error.detail ?? '' };
    throw error;
  }
}

needsLinux('program structure', () => {
  afterAll(() => {
    for (const fd of fds.values()) theLinux().closeFd(fd);
  });

  describe('refused', () => {
    it.each(Object.entries(REFUSED))('%s', (_, [slots, errno, problem]) => {
      expect(answer(slots)).toMatchObject({ errno, log: expect.stringContaining(`${problem}\nprocessed `) });
    });
  });

  describe('accepted', () => {
    it.each(Object.entries(ACCEPTED))('%s', (_, slots) => {
      expect(answer(slots)).toBe('accepted');
    });
  });
});
