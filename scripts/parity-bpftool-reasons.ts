/** Why a command line is answered differently on purpose. Each entry is a difference that a reader can look up here. */
import type { Answer } from './parity-bpftool-cases.ts';
import { before, type Tool } from './parity-bpftool-tool.ts';

interface Reason {
  readonly kernels: readonly ('linux' | 'embedded')[];
  /** Matches the command line. */
  readonly line: RegExp;
  readonly why: string;
  /** Absent: whatever bpftool it is. */
  readonly where?: (tool: Tool) => boolean;
}

const BOTH = ['linux', 'embedded'] as const;

const REASONS: readonly Reason[] = [
  {
    kernels: BOTH,
    line: /^(-\S+ )?(version$|-V$|batch file versions)/,
    why: 'skep names itself and what it is made of',
  },
  {
    kernels: BOTH,
    line: /dump jited/,
    why: 'this bpftool was built without a disassembler; skep shows WebAssembly, or the bytes of the machine code',
    where: ({ features }) => !features.includes('llvm') && !features.includes('libbfd'),
  },
  {
    kernels: BOTH,
    line: /profile/,
    why: 'this bpftool was built without profiling; skep counts runs and their time',
    where: ({ features }) => !features.includes('skeletons'),
  },
  {
    kernels: BOTH,
    line: /visual|opcodes linum|linum opcodes|file out opcodes/,
    why: 'later versions of bpftool name functions in graphs, take opcodes and linum together, and refuse graphs in JSON',
    where: (tool) => before(tool, 7, 3),
  },
  {
    kernels: BOTH,
    line: /^-[jp] link detach$/,
    why: 'bpftool breaks the line inside a string of JSON there',
  },
  {
    kernels: BOTH,
    line: /^-[jp] btf dump file \S+ format$/,
    why: 'bpftool breaks the line inside a string of JSON there',
  },
  {
    kernels: BOTH,
    line: /net (show|list)|net attach xdp .* bogus$/,
    why: 'later versions of bpftool list netfilter, and know prepend',
    where: (tool) => before(tool, 7, 6),
  },
  {
    kernels: BOTH,
    line: /visual$/,
    why: 'this bpftool writes the lines of source in another form',
    where: (tool) => before(tool, 7, 3),
  },
  {
    kernels: BOTH,
    line: /all\/(chosen|walk|refused)\} visual$/,
    why: 'bpftool names the first function where any other begins, and leaves the others unnamed',
  },
  {
    kernels: BOTH,
    line: /all\/trim_headers\} visual$/,
    why: 'in graphs of bpftool an exit before the end leads to the block below it',
  },
  {
    kernels: BOTH,
    line: /btf dump file \S+ format c$/,
    why: 'bpftool leaves out the type that comes first in its order',
    where: (tool) => !before(tool, 7, 5),
  },
  {
    kernels: BOTH,
    line: /btf dump .* format c/,
    why: 'later versions of bpftool put types in the order of names, and know the functions of the kernel',
    where: (tool) => before(tool, 7, 5),
  },
  {
    kernels: BOTH,
    line: /dump jited/,
    why: "skep has no disassembler of a machine's code: it shows WebAssembly, or the bytes of each function",
    where: ({ features }) => features.includes('llvm') || features.includes('libbfd'),
  },
  {
    kernels: BOTH,
    line: /profile/,
    why: 'bpftool counts by programs of its own that this kernel does not take, skep by reading the counters around runs',
    where: ({ features }) => features.includes('skeletons'),
  },
  {
    kernels: BOTH,
    line: /^(-[jp] )?batch file good$/,
    why: 'bpftool takes the errno that a listing left for a failure of reading the batch file',
    where: ({ features }) => features.includes('skeletons'),
  },
  {
    kernels: BOTH,
    line: /link (show|list) (pinned|id) /,
    why: 'bpftool answers -1 after it showed a link, where an earlier call left an errno',
    where: ({ features }) => features.includes('skeletons'),
  },
  {
    kernels: BOTH,
    line: /struct_ops register missing/,
    why: 'bpftool leaves it to its library to say what is wrong',
  },
  {
    kernels: BOTH,
    line: /gen object out.o notelf/,
    why: 'bpftool names an errno, skep what is wrong with the file',
  },
  {
    kernels: BOTH,
    line: /^(-[jp] )?batch file open$/,
    why: 'bpftool crashes, in JSON, on a last line that is to be continued',
  },
  {
    kernels: BOTH,
    line: /^(-[jp] )?(map|prog) (pin|create|load) .*\/(one|e|p|m|no\/where)( |$)/,
    why: 'later versions of bpftool look at the path of a pin before they pin there',
    where: (tool) => before(tool, 7, 6),
  },
  {
    kernels: BOTH,
    line: /-n (map|prog) .*\/no\/where|\/(no\/where|p|m|e|one|all)( -n)?$|\/no\/where .* -n$/,
    why: 'later versions of bpftool look at the path of a pin before they pin there',
    where: (tool) => before(tool, 7, 6),
  },
  {
    kernels: BOTH,
    line: /dev nosuchdev$|name pb_a_name_longer_than_that$|\/z bogus$/,
    why: 'later versions of bpftool take other words, and warn of old ones and of long names',
    where: (tool) => before(tool, 7, 6),
  },
  {
    kernels: ['embedded'],
    line: /links\.o|tasks\.o|\/l\/|\/again$|\/first$|struct_ops (show|list|dump|register)/,
    why: 'the embedded kernel has no tracepoints, iterators and congestion controls to attach to yet',
    where: (tool) => !before(tool, 7, 6),
  },
  {
    kernels: ['embedded'],
    line: /feature probe( kernel)?( macros( prefix PB_)?)?$/,
    why: 'the embedded kernel has features and a configuration of its own',
  },
  {
    kernels: BOTH,
    line: /perf (show|list)/,
    why: "other processes' events come and go meanwhile",
  },
  {
    kernels: ['embedded'],
    line: /type array_of_maps key 4 value 4 entries 2 name pb_none$/,
    why: 'an inner map that is left out is file descriptor 0: on Linux a standard stream, in the embedded kernel nothing',
  },
  {
    kernels: ['embedded'],
    line: /dump xlated/,
    why: 'the embedded kernel shows the program as loaded: Linux rewrites context accesses and calls into instructions of its own',
  },
];

export function reasonFor({ line }: Answer, kernel: 'linux' | 'embedded', tool: Tool): string | undefined {
  return REASONS.find(
    ({ kernels, line: pattern, where }) =>
      kernels.includes(kernel) && pattern.test(line) && (where?.(tool) ?? true),
  )?.why;
}
