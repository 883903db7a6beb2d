/**
 * Every example on every capture, packet by packet, on the embedded kernel and on Linux (PROG_TEST_RUN): verdict,
 * packet, maps, global data and ring buffer records must be the same after each packet.
 *
 *     npx tsx scripts/parity-linux.ts
 *
 * Prints `figure examples_percent`; exit code 1 when a packet differs or none was run. Without permission for bpf(2) it
 * says so and is skipped.
 */
import { linuxStatus } from '../src/linux/index.ts';
import { captures, compare, exampleObjects } from './linux-parity.ts';

const SHOWN = 5;

const status = linuxStatus();
if (!status.ok) {
  console.log(`skipped: ${status.reason}`);
} else {
  let packets = 0;
  let equal = 0;
  for (const object of exampleObjects()) {
    for (const capture of captures()) {
      for (const result of compare(object, capture)) {
        packets += result.packets;
        equal += result.packets - result.differences.length;
        console.log(
          `${result.example} ${result.program} on ${result.capture}: ` +
            `${result.packets - result.differences.length} of ${result.packets} packets equal`,
        );
        for (const { packet, what } of result.differences.slice(0, SHOWN)) {
          console.log(`  packet ${packet}: ${what.slice(0, 400)}`);
        }
      }
    }
  }
  const percent = packets === 0 ? 0 : (100 * equal) / packets;
  console.log(`${equal} of ${packets} packets are equal`);
  console.log(
    `figure examples_percent ${equal === packets ? percent : Math.min(percent, 99.999).toFixed(3)}`,
  );
  if (packets === 0 || equal !== packets) process.exitCode = 1;
}
