/** Of which programs nobody can tell what processor ran which packet: told by what threads are ordered to do. */
import { describe, expect, it } from 'vitest';
import { assembleLlvm } from '../../src/isa/index.ts';
import { createKernel, type ProcessorOrder } from '../../src/kernel/index.ts';
import type { MapType } from '../../src/sys/index.ts';

const LOOKUP = 1;
const UPDATE = 2;
const KTIME = 5;
const PRANDOM = 7;
const CPU = 8;

/** How a program is shared out over a large capture. `FD ll` in it names the map. */
function shareOf(text: string, type: MapType = 'array'): ProcessorOrder['share'] {
  using kernel = createKernel({ cpus: 2, shared: true });
  const map_fd = kernel.bpf.map_create({ map_type: type, key_size: 4, value_size: 16, max_entries: 4 });
  const insns = assembleLlvm(text.replaceAll('FD', `${map_fd}`)).bytes.slice();
  for (let at = 0; at < insns.length; at += 8) {
    if (insns[at] !== 0x18) continue;
    insns[at + 1]! |= 0x10;
    at += 8;
  }
  const { fd } = kernel.bpf.prog_load({ prog_type: 'xdp', insns, license: 'GPL' });
  let share: ProcessorOrder['share'] | undefined;
  const threads = () => ({
    onAnswer: undefined,
    post: (order: ProcessorOrder) => {
      share = order.share;
    },
    terminate: () => {},
  });
  const run = kernel.parallelRun(fd, { threads, source: { size: 1 << 20, from: 'nowhere' }, piece: 4096 });
  void run.close();
  return share!;
}

/** Looks the element 0 up and goes on with its value in r0, where there is one. */
const value = (body: string) => {
  const lines = body.split('\n').length + body.split(' ll').length - 1;
  return `*(u32 *)(r10 - 4) = 0
r2 = r10
r2 += -4
r1 = FD ll
call ${LOOKUP}
if r0 == 0 goto +${lines}
${body}
r0 = 2
exit`;
};

const PACKET = (body: string) => {
  const lines = body.split('\n').length;
  return `r2 = *(u32 *)(r1 + 0)
r3 = *(u32 *)(r1 + 4)
r4 = r2
r4 += 20
if r4 > r3 goto +${lines}
${body}
r0 = 2
exit`;
};

const ADD = 'r1 = *(u64 *)(r0 + 8)\nr1 += 1\n*(u64 *)(r0 + 8) = r1';

describe('packets stay with who has read them', () => {
  it.each<[string, string, MapType?]>([
    ['nothing is kept', 'r0 = 2\nexit'],
    ['the packet is read and written', PACKET('r5 = *(u8 *)(r2 + 4)\n*(u8 *)(r2 + 5) = r5')],
    ['the time is asked', `call ${KTIME}\nr0 = 2\nexit`],
    ['a counter is counted up at once', value('r1 = 1\nlock *(u64 *)(r0 + 0) += r1')],
    ['each processor counts its own up', value(ADD), 'percpu_array'],
    [
      'what is added is a register',
      value(ADD.replace('+= 1', '+= r6')).replace('*(u32', 'r6 = 9\n*(u32'),
      'percpu_array',
    ],
    ['a value is only read', value('r6 = *(u64 *)(r0 + 0)')],
    ['an entry of a hash map is only read', value('r6 = *(u64 *)(r0 + 0)'), 'hash'],
    [
      'an address was kept on the stack',
      value('*(u64 *)(r10 - 16) = r0\nr2 = *(u64 *)(r10 - 16)\nr1 = 1\nlock *(u64 *)(r2 + 0) += r1'),
    ],
  ])('where %s', (_, text, type) => {
    expect(shareOf(text, type)).toBe('piece');
  });
});

describe('packets go to the processor of their flow', () => {
  it.each<[string, string, MapType?]>([
    ['a value is written', value('r1 = 1\n*(u64 *)(r0 + 0) = r1')],
    ['a counter that all have is counted up in steps', value(ADD)],
    ['the counter is looked at', value(`${ADD}\nr6 = *(u64 *)(r0 + 8)`), 'percpu_array'],
    ['the sum is used', value(`${ADD}\nr0 = r1`), 'percpu_array'],
    ['the old value is fetched', value('r1 = 1\nr1 = atomic_fetch_add((u64 *)(r0 + 0), r1)')],
    ['the value is doubled', value(ADD.replace('+= 1', '+= r1')), 'percpu_array'],
    [
      'half of the value is added to',
      value('r1 = 1\nlock *(u64 *)(r0 + 0) += r1\nlock *(u32 *)(r0 + 4) += r1'),
    ],
    ['it is read elsewhere', value('r1 = *(u64 *)(r0 + 8)\nr1 += 1\n*(u64 *)(r0 + 0) = r1'), 'percpu_array'],
    ['the value is each processor’s', value('r6 = *(u64 *)(r0 + 0)'), 'percpu_array'],
    [
      'the map is changed',
      value(
        `r1 = FD ll\nr2 = r10\nr2 += -4\nr3 = r10\nr3 += -32\n*(u64 *)(r10 - 32) = 0\n*(u64 *)(r10 - 24) = 0\nr4 = 0\ncall ${UPDATE}`,
      ),
    ],
    ['lookups change the map', value('r6 = *(u64 *)(r0 + 0)'), 'lru_hash'],
    ['the processor’s number is asked', `call ${CPU}\nr0 = 2\nexit`],
    ['chance is asked', `call ${PRANDOM}\nr0 = 2\nexit`],
    ['a key is in a value', value(`r2 = r0\nr1 = FD ll\ncall ${LOOKUP}`)],
    ['there are several functions', 'call pc+2\nr0 = 2\nexit\nr0 = 0\nexit'],
  ])('where %s', (_, text, type) => {
    expect(shareOf(text, type)).toBe('own');
  });
});
