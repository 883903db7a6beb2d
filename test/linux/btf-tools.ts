/** The tools that the BTF suites compare with, and which of them are there. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Btf, BtfBuilder, type BtfExt, parseBtf, parseBtfExt } from '../../src/btf/index.ts';
import { findSection, readBpfElf } from '../../src/elf/index.ts';

export const VMLINUX = '/sys/kernel/btf/vmlinux';

/** A tool answers to `--version`. */
export function has(tool: string, flag = '--version'): boolean {
  return spawnSync(tool, [flag], { stdio: 'ignore' }).status === 0;
}

export const hasVmlinux = existsSync(VMLINUX);
export const isRoot = process.getuid?.() === 0;

/** A folder that is removed when the tests of the file are done. */
export function scratch(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'skep-btf-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

const INCLUDES = ['x86_64', 'aarch64'].map((arch) => `-I/usr/include/${arch}-linux-gnu`);

/** Compiles C for BPF with debug information. */
export function compile(clang: string, source: string, object: string, flags: readonly string[] = []): void {
  execFileSync(clang, ['-O2', '-g', '-target', 'bpf', ...INCLUDES, ...flags, '-c', source, '-o', object], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
}

/** The BTF of an object file, and what it says about instructions. */
export function readObject(path: string): { readonly btf: Btf; readonly ext: BtfExt } {
  const elf = readBpfElf(readFileSync(path), path);
  const btf = findSection(elf, '.BTF');
  const ext = findSection(elf, '.BTF.ext');
  if (!btf || !ext) throw new Error(`${path} has no BTF`);
  const types = parseBtf(btf.data, `${path}: section .BTF`, undefined, btf.offset);
  return { btf: types, ext: parseBtfExt(ext.data, `${path}: section .BTF.ext`, types, ext.offset) };
}

/** A compiler's BTF as a loader hands it to the kernel: sections with sizes, no externs, parameters with names. */
export function loadableBtf(btf: Btf): Uint8Array {
  const builder = BtfBuilder.from(btf);
  for (const id of btf.ids()) {
    const type = btf.type(id);
    if (type.kind === 'datasec') {
      let size = 0;
      const vars = type.vars
        .filter((variable) => btf.kind(variable.type) === 'var')
        .map((variable) => {
          const placed = { ...variable, offset: size };
          size += variable.size;
          return placed;
        });
      builder.replace(id, { ...type, size: Math.max(size, 4), vars });
    } else if ((type.kind === 'func' || type.kind === 'var') && type.linkage === 'extern') {
      builder.replace(id, { ...type, linkage: 'static' });
    } else if (type.kind === 'func_proto') {
      const params = type.params.map((param, i) =>
        param.type === 0 ? param : { ...param, name: param.name || `arg${i}` },
      );
      builder.replace(id, { ...type, params });
    }
  }
  return builder.encode();
}
