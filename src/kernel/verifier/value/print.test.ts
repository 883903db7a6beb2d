import { describe, expect, it } from 'vitest';
import { alu } from './alu.ts';
import { refineBoth } from './branch.ts';
import { formatScalar } from './print.ts';
import { Scalar } from './scalar.ts';

const imm = (n: number) => Scalar.knownImm(n);

// The expected texts are what Linux 6.18 logs for the same operations.
describe('formatScalar', () => {
  it('writes constants in decimal up to 16 bits and in hexadecimal beyond', () => {
    expect(formatScalar(imm(-32768))).toBe('-32768');
    expect(formatScalar(imm(32767))).toBe('32767');
    expect(formatScalar(imm(32768))).toBe('0x8000');
    expect(formatScalar(imm(-32769))).toBe('0xffffffffffff7fff');
  });

  it('writes only what is known', () => {
    expect(formatScalar(Scalar.UNKNOWN)).toBe('scalar()');
    expect(formatScalar(Scalar.UNKNOWN, 'id=3')).toBe('scalar(id=3)');
  });

  it('writes equal ends once', () => {
    const word = Scalar.UNKNOWN.truncate(4);
    expect(formatScalar(word)).toBe('scalar(smin=0,smax=umax=0xffffffff,var_off=(0x0; 0xffffffff))');
    expect(formatScalar(alu('and', 64, word, imm(4080)))).toBe(
      'scalar(smin=smin32=0,smax=umax=smax32=umax32=4080,var_off=(0x0; 0xff0))',
    );
  });

  it('does not join a negative end with one that is not', () => {
    const below = refineBoth('jsgt', 32, Scalar.UNKNOWN, imm(-0x80000000)).taken[0];
    expect(formatScalar(below)).toBe('scalar(smin32=0x80000001)');
    const small = refineBoth('jsge', 64, Scalar.UNKNOWN, imm(-16)).taken[0];
    const range = refineBoth('jsle', 64, small, imm(0)).taken[0];
    expect(formatScalar(range)).toBe('scalar(smin=smin32=-16,smax=smax32=0)');
  });
});
