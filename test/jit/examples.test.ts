/** The examples over the captures, compiled and interpreted: verdicts, packets, maps and records are the same. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { captures, exampleObjects } from '../../scripts/linux-parity.ts';
import { packetType } from '../../src/cli/run/verdicts.ts';
import { createKernel, type EmbeddedKernel } from '../../src/kernel/index.ts';
import { type LoadedObject, loadObject, parseObject } from '../../src/loader/index.ts';
import { frameConversion, readCapture } from '../../src/pcap/index.ts';
import { MIXED, SYN, skep } from '../cli/harness.ts';

function frames(capture: string): Uint8Array[] {
  return [...readCapture(new Uint8Array(readFileSync(capture)), capture)].map(
    ({ data, interface: source }) => {
      const conversion = frameConversion(source.linkType);
      return (typeof conversion === 'object' ? conversion.toEthernet(data) : undefined) ?? data;
    },
  );
}

/** A kernel whose clock stands still, so that both runs see the same time. */
function newKernel(interpret: boolean): EmbeddedKernel {
  return createKernel({ interpret, cpus: 2, cpu: 1, clock: { monotonic: () => 1_000_000_000n } });
}

class Side {
  readonly kernel: EmbeddedKernel;
  readonly object: LoadedObject;

  constructor(path: string, interpret: boolean) {
    this.kernel = newKernel(interpret);
    this.object = loadObject(this.kernel, parseObject(new Uint8Array(readFileSync(path)), path));
  }

  run(program: string, frame: Uint8Array): string {
    const { fd, type, name } = this.object.program(program);
    const data_in = packetType({ name }, type).input?.(frame) ?? frame;
    try {
      const { retval, data_out } = this.kernel.bpf.prog_test_run({ prog_fd: fd, data_in });
      return `${retval} ${Buffer.from(data_out).toString('hex')}`;
    } catch (error) {
      return String(error);
    }
  }

  /** What the maps hold. */
  contents(): string {
    const { bpf } = this.kernel;
    const lines: string[] = [];
    for (const { name, fd, spec } of this.object.maps.values()) {
      if (spec.type === 'prog_array' || spec.type === 'perf_event_array') continue;
      if (spec.type === 'ringbuf') {
        for (const record of this.kernel.ringRecords(fd))
          lines.push(`${name} ${Buffer.from(record).toString('hex')}`);
        continue;
      }
      for (
        let key = bpf.map_get_next_key({ map_fd: fd });
        key;
        key = bpf.map_get_next_key({ map_fd: fd, key })
      ) {
        const value = bpf.map_lookup_elem({ map_fd: fd, key })!;
        lines.push(`${name} ${Buffer.from(key).toString('hex')} ${Buffer.from(value).toString('hex')}`);
      }
    }
    return lines.toSorted().join('\n');
  }
}

describe('examples, compiled and interpreted', () => {
  it.each(exampleObjects())('%s does the same on every capture', (path) => {
    const compiled = new Side(path, false);
    const interpreted = new Side(path, true);
    let packets = 0;
    for (const program of compiled.object.programs.keys()) {
      for (const capture of captures()) {
        for (const frame of frames(capture)) {
          packets++;
          expect(compiled.run(program, frame)).toBe(interpreted.run(program, frame));
        }
      }
    }
    expect(compiled.contents()).toBe(interpreted.contents());
    expect(packets).toBeGreaterThan(300);
  });
});

describe('skep run', () => {
  it('reports the same with --interpret, and refuses it for Linux', async () => {
    const report = async (...options: string[]) => {
      const { stdout } = await skep(['run', SYN, '--pcap', MIXED, '--json', ...options]);
      return { ...JSON.parse(stdout), mean_ns: 0, elapsed_ms: 0 };
    };
    expect(await report('--interpret')).toEqual(await report());
    const { code, stderr } = await skep(['run', SYN, '--pcap', MIXED, '--kernel', 'linux', '--interpret']);
    expect([code, stderr]).toEqual([2, expect.stringContaining('--interpret is for the embedded kernel')]);
  });
});
