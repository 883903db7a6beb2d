/** The committed test objects, and a kernel that only remembers what it was asked. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../src/base/error.ts';
import { type ObjectSpec, parseObject } from '../../src/loader/index.ts';
import type { Bpf, Command, CommandTypes, Fd, Kernel, MapInfo } from '../../src/sys/index.ts';

export function readObject(name: string): Uint8Array {
  return readFileSync(join(import.meta.dirname, name));
}

export function parse(name: string): ObjectSpec {
  return parseObject(readObject(name), name);
}

/** A call that {@link FakeKernel} got. */
export type Call = {
  readonly [C in Command]: { readonly command: C; readonly attr: CommandTypes[C]['attr'] };
}[Command];

/** Calls that no test makes of it. */
function absent<T extends object>(): T {
  return new Proxy({} as T, {
    get: (_, name) => {
      throw new Error(`the fake kernel has no ${String(name)}`);
    },
  });
}

/** Answers every command that a loader needs, and remembers the calls. No program runs. */
export class FakeKernel implements Kernel {
  readonly name = 'embedded';
  readonly release = '6.18.44';
  readonly possibleCpus = 4;
  readonly calls: Call[] = [];
  readonly open = new Set<Fd>();
  readonly pinned = new Map<string, Fd>();
  readonly bpf: Bpf;
  readonly os = absent<Kernel['os']>();
  readonly files = absent<Kernel['files']>();
  readonly hooks = absent<Kernel['hooks']>();
  readonly net = absent<Kernel['net']>();
  /** Called before each command; what it throws is the kernel's refusal. */
  refuse: (call: Call) => void = () => {};
  #next = 100;

  constructor(has: { readonly btf?: Uint8Array; readonly kconfig?: Readonly<Record<string, string>> } = {}) {
    this.#btf = has.btf;
    this.#kconfig = has.kconfig ?? {};
    const opened = (): Fd => {
      const fd = this.#next++ as Fd;
      this.open.add(fd);
      return fd;
    };
    const answers: Partial<{ [C in Command]: (attr: CommandTypes[C]['attr']) => CommandTypes[C]['result'] }> =
      {
        map_create: () => opened(),
        btf_load: () => opened(),
        prog_load: () => ({ fd: opened(), log: '' }),
        map_update_elem: () => undefined,
        map_freeze: () => undefined,
        btf_get_next_id: () => undefined,
        obj_pin: ({ pathname, bpf_fd }) => void this.pinned.set(pathname, bpf_fd),
        obj_get: ({ pathname }) => {
          const fd = this.pinned.get(pathname);
          if (fd === undefined) throw new InputError('fake', `no ${pathname}`, { errno: 'ENOENT' });
          return fd;
        },
        obj_get_info_by_fd: ({ bpf_fd }) => this.#mapInfo(bpf_fd),
      };
    this.bpf = new Proxy({} as Bpf, {
      get: (_, command: Command) => (attr: never) => {
        const call = { command, attr } as Call;
        this.refuse(call);
        this.calls.push(call);
        const answer = answers[command] as ((attr: never) => unknown) | undefined;
        if (!answer) throw new Error(`the fake kernel has no ${command}`);
        const result = answer(attr);
        if (command === 'map_create') this.#maps.set(result as Fd, attr);
        return result;
      },
    });
  }

  readonly #btf: Uint8Array | undefined;
  readonly #kconfig: Readonly<Record<string, string>>;
  readonly #maps = new Map<Fd, CommandTypes['map_create']['attr']>();

  #mapInfo(fd: Fd): MapInfo {
    const attr = this.#maps.get(fd)!;
    return {
      kind: 'map',
      type: attr.map_type,
      key_size: attr.key_size,
      value_size: attr.value_size,
      max_entries: attr.max_entries,
      map_flags: attr.map_flags ?? 0,
      map_extra: attr.map_extra ?? 0n,
    } as MapInfo;
  }

  /** The calls of one command. */
  of<C extends Command>(command: C): CommandTypes[C]['attr'][] {
    return this.calls.flatMap((call) =>
      call.command === command ? [call.attr as CommandTypes[C]['attr']] : [],
    );
  }

  vmlinuxBtf = () => this.#btf;
  kconfig = (name: string) => this.#kconfig[name];
  ksym = (name: string) => (name === 'schedule' ? 0xffff_ffff_8100_1234n : undefined);
  closeFd = (fd: Fd) => {
    if (!this.open.delete(fd)) throw new Error(`fd ${fd} is closed twice`);
  };
  close = () => {};
  [Symbol.dispose] = () => {};
}
