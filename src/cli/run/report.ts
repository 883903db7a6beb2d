/** What `skep run` tells: one structure, and two renderings of it. */

import { lineOf, type Plain } from '../value.ts';
import type { GlobalValue, MapContents } from './contents.ts';

/** What `skep run --json` prints. Names and meanings stay; more may be added. */
export interface RunReport {
  readonly object: string;
  readonly program: string;
  /** Program type by its kernel name (`xdp`, `sched_cls`). */
  readonly type: string;
  readonly kernel: { readonly name: string; readonly release: string };
  readonly capture: {
    readonly file: string;
    readonly format: string;
    readonly link_types: readonly string[];
    /** Link types that were made into Ethernet, and how. */
    readonly converted: readonly { readonly link_type: string; readonly how: string }[];
    /** Packets of which the file holds only the beginning. */
    readonly cut_packets: number;
  };
  /** Packets run. */
  readonly packets: number;
  readonly repeat: number;
  /** Mean nanoseconds of one run, by the kernel's clock. */
  readonly mean_ns: number;
  /** Milliseconds from the first read of the capture to the last verdict. */
  readonly elapsed_ms: number;
  readonly verdicts: readonly { readonly name: string; readonly packets: number; readonly share: number }[];
  /** Of socket filters: bytes kept and cut off. */
  readonly bytes?: { readonly kept: number; readonly cut: number };
  /** Packets that the kernel would not run. */
  readonly refused: readonly { readonly reason: string; readonly packets: number }[];
  readonly maps: readonly MapContents[];
  readonly globals: readonly GlobalValue[];
  /** Records that the program wrote to ring and perf buffers. */
  readonly records: readonly RecordCount[];
  /** Lines of `bpf_trace_printk`; `null` when the kernel's can't be told from others'. */
  readonly trace: readonly string[] | null;
  readonly out?: { readonly file: string; readonly packets: number };
  /** The user ended the run before the capture did. */
  readonly interrupted: boolean;
}

export interface RecordCount {
  readonly map: string;
  readonly type: string;
  /** `null` when this kernel's records can't be read here. */
  readonly records: number | null;
  readonly bytes: number | null;
  /** Records that found no room, where the kernel counts them. */
  readonly lost: number;
}

/** Elements of each map that the text shows unless the map is named. */
export const SHOWN = 20;
const TRACE_SHOWN = 20;
const LINE = 110;

/** The report for a person. @param whole show every element */
export function reportText(report: RunReport, whole: boolean, bold: (text: string) => string): string {
  const { kernel, capture } = report;
  const on =
    kernel.name === 'linux' ? `Linux ${kernel.release}` : `the embedded kernel (as Linux ${kernel.release})`;
  const out: string[] = [
    `${bold(report.program)} (${report.type}, ${report.object}) on ${on}`,
    `${plural(report.packets, 'packet')} of ${capture.file}${report.interrupted ? ', then interrupted' : ''}` +
      `${report.repeat > 1 ? `, ${report.repeat} times each` : ''}` +
      `${report.mean_ns > 0 ? `, ${report.mean_ns} ns a run` : ''}`,
  ];
  for (const { link_type, how } of capture.converted) out.push(`  ${link_type}: ${how}`);
  if (capture.cut_packets > 0) {
    out.push(
      `  ${plural(capture.cut_packets, 'packet')} had been cut when captured; the program saw what is there`,
    );
  }
  for (const { reason, packets } of report.refused)
    out.push(`  not run: ${plural(packets, 'packet')}: ${reason}`);
  out.push(
    '',
    ...table(
      ['verdict', 'packets', 'share'],
      report.verdicts.map(({ name, packets, share }) => [
        name,
        grouped(packets),
        `${(share * 100).toFixed(1)} %`,
      ]),
      ['left', 'right', 'right'],
      bold,
    ),
  );
  if (report.bytes !== undefined) {
    out.push(`bytes kept ${grouped(report.bytes.kept)}, cut off ${grouped(report.bytes.cut)}`);
  }
  for (const map of report.maps) {
    if (map.readable || whole) out.push('', ...mapText(map, whole, bold));
  }
  for (const section of new Set(report.globals.map((global) => global.section))) {
    out.push('', `${bold(section)} (global data)`);
    for (const global of report.globals.filter((item) => item.section === section)) {
      out.push(...globalText(global));
    }
  }
  if (report.records.length > 0) out.push('');
  for (const { map, type, records, bytes, lost } of report.records) {
    const told = records === null ? 'not read on this kernel' : plural(records, 'record');
    out.push(
      `${bold(map)} (${type}): ${told}${bytes ? `, ${grouped(bytes)} bytes` : ''}${lost > 0 ? `, ${grouped(lost)} lost` : ''}`,
    );
  }
  if (report.trace !== null && report.trace.length > 0) {
    out.push('', bold('trace_printk'), ...report.trace.slice(0, TRACE_SHOWN).map((line) => `  ${line}`));
    const more = report.trace.length - TRACE_SHOWN;
    if (more > 0) out.push(`  … ${plural(more, 'line')} more (--json has them)`);
  }
  if (report.out !== undefined) {
    out.push('', `${plural(report.out.packets, 'packet')} written to ${report.out.file}`);
  }
  return `${out.join('\n')}\n`;
}

/** An array that is too long for a line has one for each element that is not zero. */
function globalText({ name, value }: GlobalValue): string[] {
  const line = `  ${name} = ${lineOf(value)}`;
  if (!Array.isArray(value) || line.length <= LINE) return [line];
  return value.flatMap((item: Plain, i) => (isZero(item) ? [] : [`  ${name}[${i}] = ${lineOf(item)}`]));
}

function mapText(map: MapContents, whole: boolean, bold: (text: string) => string): string[] {
  const array = map.type === 'array' || map.type === 'percpu_array';
  const title = `${bold(map.name)} (${map.type}, ${array ? '' : `${grouped(map.count)} of `}${plural(map.max_entries, 'entry', 'entries')}${array ? ', those not zero' : ''})`;
  if (!map.readable) return [`${title}: its elements are not read`];
  if (map.entries.length === 0) return [`${title}: ${array ? 'all zero' : 'empty'}`];
  const shown = whole ? map.entries : map.entries.slice(0, SHOWN);
  const rows = shown.flatMap((entry) =>
    entry.values === undefined
      ? [
          {
            ...column('key', map.key_type, entry.key),
            ...column('value', map.value_type, entry.value ?? null),
          },
        ]
      : entry.values
          .filter(({ value }) => !isZero(value))
          .map(({ cpu, value }) => ({
            ...column('key', map.key_type, entry.key),
            cpu: String(cpu),
            ...column('value', map.value_type, value),
          })),
  );
  const heads = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const text = rows.map((row) => heads.map((head) => (row as Readonly<Record<string, string>>)[head] ?? ''));
  const numeric = heads.map((_, i) => text.every((row) => /^-?[\d,]*$/.test(row[i]!)));
  const lines = table(
    heads,
    text,
    numeric.map((is) => (is ? 'right' : 'left')),
    bold,
  );
  const hidden = map.count - shown.length;
  if (!array && hidden > 0) {
    lines.push(`… ${grouped(hidden)} more; --map ${map.name} shows all`);
  }
  return [title, ...lines.map((line) => `  ${line}`)];
}

/** A struct becomes a column for each member; anything else is one column, named by its type. */
function column(what: 'key' | 'value', type: string, value: Plain): Record<string, string> {
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) {
    const members = Object.entries(value);
    if (members.length > 0) {
      return Object.fromEntries(
        members.map(([name, item]) => [what === 'key' ? name : ` ${name}`, lineOf(item)]),
      );
    }
  }
  return { [type === '' ? what : `${what} (${type})`]: lineOf(value) };
}

function isZero(value: Plain): boolean {
  if (value !== null && typeof value === 'object') return Object.values(value).every(isZero);
  return (
    value === 0 ||
    value === '' ||
    value === false ||
    value === '0x0' ||
    value === '0.0.0.0' ||
    value === '::' ||
    value === null
  );
}

/** Columns two spaces apart. */
function table(
  heads: readonly string[],
  rows: readonly (readonly string[])[],
  align: readonly ('left' | 'right')[],
  bold: (text: string) => string,
): string[] {
  const widths = heads.map((head, i) => Math.max(head.trim().length, ...rows.map((row) => row[i]!.length)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) =>
        align[i] === 'right' ? cell.trim().padStart(widths[i]!) : cell.trim().padEnd(widths[i]!),
      )
      .join('  ')
      .trimEnd();
  return [bold(line(heads)), ...rows.map(line)];
}

function grouped(value: number): string {
  return value.toLocaleString('en');
}

function plural(count: number, noun: string, many = `${noun}s`): string {
  return `${grouped(count)} ${count === 1 ? noun : many}`;
}
