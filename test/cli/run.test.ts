import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readCapture } from '../../src/pcap/index.ts';
import { MIXED, SYN, skep, temporaryFolder } from './harness.ts';

const folder = temporaryFolder();

async function json(argv: readonly string[]) {
  const { code, stdout, stderr } = await skep([...argv, '--json']);
  expect(stderr).toBe('');
  return { code, report: JSON.parse(stdout) };
}

function verdicts(report: { verdicts: { name: string; packets: number }[] }): Record<string, number> {
  return Object.fromEntries(report.verdicts.filter((v) => v.packets > 0).map((v) => [v.name, v.packets]));
}

describe('skep run', () => {
  it('prints verdicts, the map with typed keys and values, globals and trace lines', async () => {
    const { code, stdout, stderr } = await skep(['run', SYN, '--pcap', MIXED]);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(stdout.replace(/\d+ ns a run/, 'N ns a run')).toBe(
      `count_syns (xdp, examples/syn_counter.o) on the embedded kernel (as Linux 6.18.0)
389 packets of examples/captures/mixed.pcap, N ns a run

verdict   packets   share
PASS          367  94.3 %
DROP           22   5.7 %
TX              0   0.0 %
REDIRECT        0   0.0 %
ABORTED         0   0.0 %

syn_counts (hash, 4 of 1,024 entries)
  key (__be32)  syns  dropped  last_port  last_ttl
  10.7.0.2         3        0       8080        64
  10.7.0.3         2        0       8080        64
  10.7.0.9       122       22       8081         1
  10.42.0.2        1        0       8080        64

.rodata (global data)
  syn_limit = 100

trace_printk
  a070009: more than 100 connection attempts
`,
    );
  });

  it('says the same in JSON', async () => {
    const { code, report } = await json(['run', SYN, '--pcap', MIXED]);
    expect(code).toBe(0);
    expect(report).toMatchObject({
      object: SYN,
      program: 'count_syns',
      type: 'xdp',
      kernel: { name: 'embedded', release: '6.18.0' },
      capture: { file: MIXED, format: 'pcap', link_types: ['ETHERNET'], converted: [], cut_packets: 0 },
      packets: 389,
      repeat: 1,
      refused: [],
      globals: [{ name: 'syn_limit', section: '.rodata', type: '__u64', value: 100 }],
      records: [],
      trace: ['a070009: more than 100 connection attempts'],
      interrupted: false,
    });
    expect(verdicts(report)).toEqual({ PASS: 367, DROP: 22 });
    expect(report.maps[0].entries[2]).toEqual({
      key: '10.7.0.9',
      value: { syns: 122, dropped: 22, last_port: 8081, last_ttl: 1 },
    });
  });

  it('writes the packets as the program left them, dropped ones left out', async () => {
    const out = join(folder, 'out.pcap');
    const { code, report } = await json(['run', 'examples/pipeline.o', '--pcap', MIXED, '--out', out]);
    expect(code).toBe(0);
    expect(verdicts(report)).toEqual({ PASS: 380, TX: 5, REDIRECT: 4 });
    const before = [...readCapture(readFileSync(MIXED), MIXED)];
    const after = [...readCapture(readFileSync(out), out)];
    expect(after).toHaveLength(389);
    expect(report.out).toEqual({ file: out, packets: 389 });
    // VLAN tags are gone, and with each four bytes.
    const shorter = after.filter((packet, i) => packet.data.length === before[i]!.data.length - 4);
    expect(shorter).toHaveLength(16);
    expect(after.map((packet) => packet.seconds)).toEqual(before.map((packet) => packet.seconds));
    expect(readdirSync(folder)).toEqual(['out.pcap']);
  });

  it('trims packets by a socket filter, keeping their length on the wire', async () => {
    const out = join(folder, 'trimmed.pcapng');
    const { report } = await json(['run', 'examples/trim_headers.o', '--pcap', MIXED, '--out', out]);
    expect(verdicts(report)).toEqual({ KEEP: 324, TRIM: 55, DROP: 10 });
    const packets = [...readCapture(readFileSync(out), out)];
    expect(packets).toHaveLength(379);
    expect(packets.filter((packet) => packet.data.length < packet.originalLength)).toHaveLength(55);
    expect(packets.reduce((sum, packet) => sum + packet.data.length, 0)).toBe(report.bytes.kept);
  });

  it('names the actions of tc', async () => {
    const { report } = await json(['run', 'examples/rewrite_tc.o', '--pcap', MIXED]);
    expect(verdicts(report)).toEqual({ OK: 387, SHOT: 2 });
    expect(report.globals.find((item: { name: string }) => item.name === 'rewritten').value).toBe(85);
  });

  it('counts ring and perf buffer records, and shows per-CPU values', async () => {
    const { report } = await json(['run', 'examples/dns_events.o', '--pcap', MIXED]);
    expect(report.records).toMatchObject([
      { map: 'events', type: 'ringbuf', records: 6, bytes: 96, lost: 0 },
      { map: 'samples', type: 'perf_event_array', records: 6 },
    ]);
    expect(report.maps.find((map: { name: string }) => map.name === 'messages').entries[0]).toEqual({
      key: '10.7.0.1',
      values: [{ cpu: 0, value: 3 }],
    });
  });

  it('gives packets of another link layer an Ethernet header, and says so', async () => {
    const { stdout } = await skep(['run', SYN, '--pcap', 'examples/captures/any.pcap']);
    expect(stdout).toContain(
      'LINUX_SLL2: the 20-byte Linux cooked v2 header is replaced by an Ethernet header',
    );
    expect(stdout).toContain('10.7.0.2         1');
  });

  it('shows one map alone', async () => {
    const { stdout } = await skep(['run', 'examples/firewall.o', '--pcap', MIXED, '--map', 'denied']);
    expect(stdout).toContain('denied (hash, 5 of 4,096 entries)');
    expect(stdout).toContain('::ffff:10.7.0.9  ::ffff:10.7.0.1  49833     22');
    expect(stdout).not.toContain('rule_counters');
    expect(stdout).not.toContain('.rodata');
  });

  it('runs each packet as often as asked', async () => {
    const { report } = await json(['run', SYN, '--pcap', 'examples/captures/vlan.pcap', '--repeat', '3']);
    expect(report).toMatchObject({ packets: 18, repeat: 3 });
    expect(report.maps[0].entries[0]).toMatchObject({ key: '10.42.0.2', value: { syns: 3 } });
  });

  it('prints what it had when interrupted, and leaves nothing behind', async () => {
    const before = readdirSync(folder);
    const out = join(folder, 'never.pcap');
    const { code, stdout, stderr } = await skep(['run', SYN, '--pcap', MIXED, '--out', out], {
      interrupt: true,
    });
    expect(code).toBe(130);
    expect(stdout).toContain('then interrupted');
    expect(stderr).toBe(`skep: interrupted, so ${out} was not written\n`);
    expect(readdirSync(folder)).toEqual(before);
  });

  it('shows no progress to a pipe', async () => {
    expect((await skep(['run', SYN, '--pcap', MIXED])).stderr).toBe('');
  });
});

describe('skep run refuses', () => {
  const cases: [string, string[], string, number][] = [
    ['no capture', ['run', SYN], 'skep run needs packets: give a capture with --pcap (skep help run)', 2],
    ['a missing object', ['run', 'no.o', '--pcap', MIXED], 'reading no.o: there is no such file', 2],
    [
      'a missing capture',
      ['run', SYN, '--pcap', 'no.pcap'],
      'reading capture no.pcap: there is no such file',
      2,
    ],
    ['a folder', ['run', SYN, '--pcap', 'examples'], 'reading capture examples: it is a folder', 2],
    [
      'an object as capture',
      ['run', SYN, '--pcap', SYN],
      `${SYN}: the file begins with 0x7f454c46 and is neither pcap nor pcapng; it looks like an ELF file: the object goes first, the capture behind --pcap`,
      2,
    ],
    [
      'a capture as object',
      ['run', MIXED, '--pcap', MIXED],
      `${MIXED}: not an ELF file: the bytes at offset 0 are not 7f 45 4c 46`,
      2,
    ],
    [
      'an unknown program',
      ['run', SYN, 'nothing', '--pcap', MIXED],
      `${SYN}: there is no program nothing; there are: count_syns`,
      2,
    ],
    [
      'an unknown map',
      ['run', SYN, '--pcap', MIXED, '--map', 'nothing'],
      `${SYN}: there is no map nothing; there are: syn_counts`,
      2,
    ],
    [
      'a folder that is not there',
      ['run', SYN, '--pcap', MIXED, '--out', 'no/where.pcap'],
      'writing no/where.pcap: there is no such file',
      2,
    ],
    [
      'a wrong count',
      ['run', SYN, '--pcap', MIXED, '--repeat', '0'],
      '--repeat is a whole number from 1 to 2147483647, not 0',
      2,
    ],
    [
      'a wrong kernel',
      ['run', SYN, '--pcap', MIXED, '--kernel', 'bsd'],
      '--kernel is embedded or linux, not bsd',
      2,
    ],
    [
      'an unknown option',
      ['run', SYN, '--pcab', MIXED],
      'there is no option --pcab; did you mean --pcap?',
      2,
    ],
    ['an unknown command', ['rum', SYN], 'there is no command rum; did you mean run?', 2],
  ];
  it.each(cases)('%s', async (_, argv, message, code) => {
    const answer = await skep(argv);
    expect(answer.stdout).toBe('');
    expect(answer.stderr.split(' (usage:')[0]!.trimEnd()).toBe(`skep: ${message}`);
    expect(answer.code).toBe(code);
    const other = await skep([...argv, '--json']);
    expect(JSON.parse(other.stdout).error.split(' (usage:')[0]).toBe(message);
    expect(other.stderr).toBe('');
  });

  it('a capture that is cut in the middle of a record, writing nothing', async () => {
    const cut = join(folder, 'cut.pcap');
    writeFileSync(cut, readFileSync(MIXED).subarray(0, 40_000));
    const before = readdirSync(folder);
    const { code, stderr } = await skep(['run', SYN, '--pcap', cut, '--out', join(folder, 'x.pcap')]);
    expect(stderr).toMatch(
      /^skep: .*cut\.pcap: packet \d+ \(its (data|header)\) at offset \d+ needs \d+ bytes, but the file ends after \d+ of them\n$/,
    );
    expect(code).toBe(2);
    expect(readdirSync(folder)).toEqual(before);
  });

  it('packets that are no Ethernet', async () => {
    const wifi = join(folder, 'wifi.pcap');
    const bytes = new Uint8Array(readFileSync(MIXED));
    new DataView(bytes.buffer).setUint32(20, 105, true);
    writeFileSync(wifi, bytes);
    const { code, stderr } = await skep(['run', SYN, '--pcap', wifi]);
    expect(stderr).toContain('wifi.pcap: interface 0 has packets of link type IEEE802_11, which');
    expect(code).toBe(2);
  });

  it('a program that takes no packets, saying what will run it', async () => {
    const text = join(folder, 'probe.s');
    const object = join(folder, 'probe.o');
    writeFileSync(text, '.section kprobe/do_unlinkat\nprobe:\n  r0 = 0\n  exit\n');
    expect((await skep(['asm', text, '-o', object])).code).toBe(0);
    const { code, stderr } = await skep(['run', object, '--pcap', MIXED]);
    expect(stderr).toContain('running probe: a kprobe program takes no packets; it will be run on events');
    expect(code).toBe(2);
  });

  it('a program that the verifier refuses, with its log', async () => {
    const text = join(folder, 'loop.s');
    const object = join(folder, 'loop.o');
    writeFileSync(text, '.section xdp\nbad:\n  r0 = 0\n  goto L2\n  exit\nL2:\n  r0 = 1\n');
    await skep(['asm', text, '-o', object]);
    const { code, stderr } = await skep(['run', object, '--pcap', MIXED]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^skep: .*loop\.o: program bad \(section xdp\)/);
  });
});
