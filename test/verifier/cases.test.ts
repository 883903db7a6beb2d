/** The verifier's text cases, on the embedded verifier and, where there is one, on Linux: it answers the same. */
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parseBtf } from '../../src/btf/index.ts';
import { linux, needsLinux, theLinux } from '../linux/support.ts';
import { casesIn, type VerifierCase } from './case-file.ts';
import { type Outcome, runEmbedded, runLinux, verdictLine } from './run-case.ts';

const types = linux?.vmlinuxBtf();
const kernelBtf = types && parseBtf(types, 'vmlinux');
const CASES = casesIn(fileURLToPath(new URL('.', import.meta.url)));

function expectVerdict(one: VerifierCase, { accepted, log }: Outcome): void {
  const got = accepted ? 'accept' : `reject: ${verdictLine(log)}`;
  if (one.reject === undefined) expect(got).toBe('accept');
  else expect(got).toContain(`reject: ${one.reject}`);
  for (const line of one.log) expect(log).toContain(line);
}

test('there are cases', () => {
  expect(CASES.length).toBeGreaterThan(0);
});

describe('the embedded verifier', () => {
  for (const one of CASES) {
    test.skipIf(one.needsKernelBtf && kernelBtf === undefined)(`${one.file}: ${one.name}`, () => {
      expectVerdict(one, runEmbedded(one, 2, kernelBtf));
    });
  }
});

needsLinux('Linux', () => {
  for (const one of CASES) {
    // With fewer capabilities it would have to be another process that loads the program.
    test.skipIf(one.caps !== 'all')(`${one.file}: ${one.name}`, () => {
      expectVerdict(one, runLinux(theLinux(), one, 2, kernelBtf));
    });
  }
});
