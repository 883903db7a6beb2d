/** Command lines about the command line: help, options, batch files. */
import type { Scenario } from './parity-bpftool-cases.ts';

const P = '/sys/fs/bpf';

export const GENERAL: readonly Scenario[] = [
  {
    name: 'help',
    lines: ['map help', 'prog help', 'link help', 'map he', 'prog bogus', 'map bogus', 'link bogus'],
  },
  {
    name: 'options',
    layouts: [''],
    lines: [
      `map create ${P}/o type array key 4 value 4 entries 1 name pb_opt`,
      `map show pinned ${P}/o -j`,
      `map -p show pinned ${P}/o`,
      `-jp map show pinned ${P}/o`,
      `--json map show pinned ${P}/o`,
      `--pretty map show pinned ${P}/o`,
      `--jso map show pinned ${P}/o`,
      `-f map show pinned ${P}/o`,
      `map show pinned ${P}/o --bpffs -j`,
      `--bogus map show`,
      `-x map show`,
      `-j --bogus map show`,
      `-j map help`,
      `m s p ${P}/o`,
      `map sh pinned ${P}/o`,
      `map list pin ${P}/o`,
      `-d map show pinned ${P}/o`,
      `-n map show pinned ${P}/o`,
      `-m map show pinned ${P}/o`,
      `version`,
      `-V`,
    ],
  },
  {
    name: 'batch',
    files: {
      good: `# comment\nmap create ${P}/b type array key 4 value 4 entries 1 name pb_batch\n\nmap dump pinned ${P}/b # and more\nmap update pinned ${P}/b \\\nkey 0 0 0 0 value 1 2 3 4\n  map  lookup	pinned ${P}/b key 0 0 0 0\nmap show pinned '${P}/b'\n`,
      bad: `map dump pinned ${P}/b\nmap dump pinned ${P}/nothing\nmap dump pinned ${P}/b\n`,
      usage: `map dump pinned ${P}/b\nmap bogus\n`,
      quote: `map dump pinned '${P}/b\n`,
      open: 'map dump \\',
      empty: '',
    },
    lines: [
      'batch file good',
      'batch file bad',
      'batch file usage',
      'batch file quote',
      'batch file open',
      'batch file empty',
      'batch file missing',
      'batch file',
      'batch',
      'batch good',
      'batch file good good',
      { command: 'batch file -', input: `map dump pinned ${P}/b\nmap getnext pinned ${P}/b\n` },
    ],
  },
];
