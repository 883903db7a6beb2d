import { describe, expect, it } from 'vitest';
import { captures, compare, exampleObjects } from '../../scripts/linux-parity.ts';
import { linuxStatus } from '../../src/linux/index.ts';
import { MIXED, SYN, skep } from '../cli/harness.ts';

const status = linuxStatus();
if (!status.ok) console.log(`the examples are not compared with Linux: ${status.reason}`);

describe('examples on both kernels', () => {
  it('has examples and captures', () => {
    expect(exampleObjects().length).toBeGreaterThan(4);
    expect(captures()).toContain(MIXED);
  });

  it.skipIf(!status.ok).each(exampleObjects())(
    '%s: verdict, packet and maps are equal after each packet',
    (object) => {
      const results = compare(object, MIXED);
      expect(results.length).toBeGreaterThan(0);
      for (const result of results) {
        expect(result.packets).toBeGreaterThan(300);
        expect(result.differences).toEqual([]);
      }
    },
  );

  it.skipIf(!status.ok)('skep run --kernel linux prints the same maps', async () => {
    const report = async (kernel: string) =>
      JSON.parse((await skep(['run', SYN, '--pcap', MIXED, '--kernel', kernel, '--json'])).stdout);
    const [linux, embedded] = [await report('linux'), await report('embedded')];
    expect(linux.kernel.name).toBe('linux');
    expect(linux.verdicts).toEqual(embedded.verdicts);
    expect(linux.maps).toEqual(embedded.maps);
    expect(linux.globals).toEqual(embedded.globals);
  });

  it.skipIf(!status.ok)('reads the records of ring and perf buffers', async () => {
    const { stdout } = await skep([
      'run',
      'examples/dns_events.o',
      '--pcap',
      MIXED,
      '--kernel',
      'linux',
      '--json',
    ]);
    const { stdout: embedded } = await skep(['run', 'examples/dns_events.o', '--pcap', MIXED, '--json']);
    expect(JSON.parse(stdout).records[0]).toMatchObject({ map: 'events', records: 6, bytes: 96, lost: 0 });
    expect(JSON.parse(stdout).records).toEqual(JSON.parse(embedded).records);
  });
});
