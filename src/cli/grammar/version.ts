import type { Output } from './output.ts';

/** The build replaces it by the package's version. */
declare const SKEP_VERSION: string | undefined;

export function skepVersion(): string {
  return typeof SKEP_VERSION === 'string' ? SKEP_VERSION : 'development';
}

/** The libbpf whose rules for objects, sections and pins are followed. */
const LIBBPF = '1.1';
const FEATURES = { libbfd: false, libbpf_strict: true, skeletons: true } as const;

export function printVersion(out: Output): void {
  const { json } = out;
  if (json) {
    json.startObject().field('version', skepVersion()).field('libbpf_version', LIBBPF);
    json.name('features').startObject();
    for (const [name, value] of Object.entries(FEATURES)) json.field(name, value);
    json.endObject().endObject();
    return;
  }
  const features = Object.entries(FEATURES).flatMap(([name, value]) => (value ? [name] : []));
  out.print(`skep v${skepVersion()}\nobjects as libbpf v${LIBBPF}\nfeatures: ${features.join(', ')}\n`);
}
