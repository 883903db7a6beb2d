/** The bpftool that is compared with: what it says of itself. */
import { spawnSync } from 'node:child_process';

export interface Tool {
  readonly path: string;
  readonly version: readonly [major: number, minor: number, patch: number];
  /** What it was built with: `llvm`, `libbfd`, `skeletons`, `crypto` … */
  readonly features: readonly string[];
}

/** @returns undefined where there is none */
export function toolAt(path: string): Tool | undefined {
  const { status, stdout } = spawnSync(path, ['-j', 'version'], { encoding: 'utf8' });
  if (status !== 0) return undefined;
  const { version, features } = JSON.parse(stdout) as {
    readonly version: string;
    readonly features: Readonly<Record<string, boolean>>;
  };
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number);
  return {
    path,
    version: [major, minor, patch],
    features: Object.keys(features).filter((name) => features[name]),
  };
}

/** Whether it is older than a version, e.g. `before(tool, 7, 2)`. */
export function before({ version: [major, minor] }: Tool, thanMajor: number, thanMinor: number): boolean {
  return major < thanMajor || (major === thanMajor && minor < thanMinor);
}
