/** Runs a verifier case on the embedded verifier and on Linux. */
import { InputError } from '../../src/base/error.ts';
import type { Btf } from '../../src/btf/index.ts';
import {
  ALL_CAPABILITIES,
  type FdFacts,
  isRejection,
  NO_CAPABILITIES,
  verify,
} from '../../src/kernel/verifier/index.ts';
import type { Fd, Kernel } from '../../src/sys/index.ts';
import { caseBtf } from './case-btf.ts';
import { assembleCase, type CaseMap, targetOf, type VerifierCase } from './case-file.ts';

export interface Outcome {
  readonly accepted: boolean;
  readonly errno: string;
  readonly log: string;
}

const FIRST_FD = 100;

/** @param kernelBtf the types that the program's kernel objects have */
export function runEmbedded(one: VerifierCase, logLevel: number, kernelBtf?: Btf): Outcome {
  const facts = new Map<number, FdFacts>();
  for (const [i, map] of one.maps.entries()) facts.set(FIRST_FD + i, mapFacts(map, i));
  const insns = assembleCase(one, (map) => FIRST_FD + one.maps.indexOf(map), kernelBtf);
  const target = targetOf(one, kernelBtf);
  const described = caseBtf(one.funcs);
  const result = verify(
    {
      name: '',
      type: one.type,
      insns,
      license: one.license,
      flags: one.flags,
      ...(one.attach !== undefined && { expectedAttachType: one.attach }),
      ...(target !== undefined && { attachTarget: { btfId: target } }),
      ...(described && { btf: described.btf, funcInfo: { bytes: described.funcInfo, recSize: 8 } }),
    },
    {
      map: (fd) => facts.get(fd) ?? 'bad-fd',
      kernelBtf,
      capabilities: one.caps === 'all' ? ALL_CAPABILITIES : { ...NO_CAPABILITIES, bpf: one.caps === 'bpf' },
      kernelVersion: '6.18',
      logLevel,
      helperImplemented: () => true,
    },
  );
  return isRejection(result)
    ? { accepted: false, errno: result.errno, log: result.log }
    : { accepted: true, errno: '', log: result.log };
}

function mapFacts(map: CaseMap, index: number): FdFacts {
  const { name: _, ...rest } = map;
  return {
    ...rest,
    id: index + 1,
    name: '',
    ...(map.frozen && { contents: (_off: number, size: number) => new Uint8Array(size) }),
  };
}

export function runLinux(kernel: Kernel, one: VerifierCase, logLevel: number, kernelBtf?: Btf): Outcome {
  const { bpf } = kernel;
  const target = targetOf(one, kernelBtf);
  const fds = new Map<CaseMap, Fd>();
  const described = caseBtf(one.funcs);
  let btfFd: Fd | undefined;
  try {
    if (described) btfFd = bpf.btf_load({ btf: described.bytes });
    for (const map of one.maps) {
      const fd = bpf.map_create({
        map_type: map.type,
        key_size: map.keySize,
        value_size: map.valueSize,
        max_entries: map.maxEntries,
        map_flags: map.flags,
      });
      fds.set(map, fd);
      if (map.frozen) bpf.map_freeze({ map_fd: fd });
    }
    const { fd, log } = bpf.prog_load({
      prog_type: one.type,
      insns: assembleCase(one, (map) => fds.get(map)!, kernelBtf),
      license: one.license,
      log_level: logLevel,
      prog_flags: one.flags,
      ...(one.attach !== undefined && { expected_attach_type: one.attach }),
      ...(target !== undefined && { attach_btf_id: target }),
      ...(described &&
        btfFd !== undefined && {
          prog_btf_fd: btfFd,
          func_info: described.funcInfo,
          func_info_rec_size: 8,
        }),
    });
    kernel.closeFd(fd);
    return { accepted: true, errno: '', log };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return { accepted: false, errno: error.errno ?? '', log: error.detail ?? error.message };
  } finally {
    for (const fd of fds.values()) kernel.closeFd(fd);
    if (btfFd !== undefined) kernel.closeFd(btfFd);
  }
}

/** The log without what differs from run to run: addresses of maps, the time that verification took. */
export function comparable(log: string): string[] {
  return log
    .split('\n')
    .filter((line) => !line.startsWith('verification time') && !line.startsWith('stack depth'))
    .map((line) => line.replace(/(\(18\) r\d+ = )0x[0-9a-f]+ */, '$1ADDRESS '));
}

/** The line that says what is wrong: the last one before the closing counts. */
export function verdictLine(log: string): string {
  const lines = log.trimEnd().split('\n');
  return (
    lines.filter((line) => !/^(processed \d+ insns|verification time|stack depth)/.test(line)).at(-1) ?? ''
  );
}
