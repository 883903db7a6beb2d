/** Bundles the library's entry points and the executables into `dist/`; `tsc` writes the declarations beside them. */
import { readFileSync, rmSync } from 'node:fs';
import { build } from 'esbuild';
import './build-wasm.ts';

const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };

rmSync('dist', { recursive: true, force: true });
await build({
  entryPoints: {
    index: 'src/index.ts',
    isa: 'src/isa/index.ts',
    elf: 'src/elf/index.ts',
    btf: 'src/btf/index.ts',
    pcap: 'src/pcap/index.ts',
    sys: 'src/sys/index.ts',
    cli: 'src/cli/main.ts',
    worker: 'src/cli/run/worker.ts',
    'conformance-plugin': 'src/cli/conformance-plugin.ts',
  },
  outdir: 'dist',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  packages: 'external',
  minifySyntax: true,
  define: { SKEP_VERSION: JSON.stringify(version) },
  logLevel: 'warning',
});
