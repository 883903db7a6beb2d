/** libbpf.so.1 by FFI: the loader that skep's is held against. */
import koffi from 'koffi';
import { type Fd, type MapType, mapTypeName } from '../src/sys/index.ts';

type Pointer = unknown;

/** Types that may have no entries. */
const FREE: readonly MapType[] = [
  'perf_event_array',
  'task_storage',
  'sk_storage',
  'inode_storage',
  'cgrp_storage',
  'arena',
];

/** Opens the library. @throws Error where it is not installed */
export function openLibbpf() {
  const library = koffi.load('libbpf.so.1');
  const call = {
    setPrint: library.func('void *libbpf_set_print(void *)'),
    open: library.func('void *bpf_object__open_file(const char *, void *)'),
    load: library.func('int bpf_object__load(void *)'),
    close: library.func('void bpf_object__close(void *)'),
    nextProgram: library.func('void *bpf_object__next_program(void *, void *)'),
    nextMap: library.func('void *bpf_object__next_map(void *, void *)'),
    programName: library.func('const char *bpf_program__name(void *)'),
    setAutoload: library.func('int bpf_program__set_autoload(void *, bool)'),
    insns: library.func('void *bpf_program__insns(void *)'),
    insnCount: library.func('size_t bpf_program__insn_cnt(void *)'),
    programFd: library.func('int bpf_program__fd(void *)'),
    mapType: library.func('uint32_t bpf_map__type(void *)'),
    maxEntries: library.func('uint32_t bpf_map__max_entries(void *)'),
    setMaxEntries: library.func('int bpf_map__set_max_entries(void *, uint32_t)'),
    valueSize: library.func('uint32_t bpf_map__value_size(void *)'),
    setValueSize: library.func('int bpf_map__set_value_size(void *, uint32_t)'),
    setPinPath: library.func('int bpf_map__set_pin_path(void *, void *)'),
  };
  if (!process.env.LIBBPF_LOG) call.setPrint(null);

  const list = (next: (object: Pointer, before: Pointer) => Pointer, object: Pointer): Pointer[] => {
    const all: Pointer[] = [];
    for (let at = next(object, null); at; at = next(object, at)) all.push(at);
    return all;
  };
  return {
    /** Opens an object file, or `undefined` when libbpf refuses it. Nothing is pinned. */
    open(file: string) {
      const object: Pointer = call.open(file, null);
      if (!object) return undefined;
      return {
        programs: () =>
          list(call.nextProgram, object).map((program) => ({
            name: call.programName(program) as string,
            setAutoload: (on: boolean): void => void call.setAutoload(program, on),
            fd: () => call.programFd(program) as Fd,
            /** The instructions as they are now, copied: relocated, once the object was loaded. */
            insns: (): Uint8Array => {
              const bytes = Number(call.insnCount(program)) * 8;
              return new Uint8Array(koffi.view(call.insns(program), bytes).slice(0));
            },
          })),
        maps: () =>
          list(call.nextMap, object).map((map) => {
            call.setPinPath(map, null);
            const type = mapTypeName(call.mapType(map));
            return {
              type: (): MapType | 'free' | undefined => (type && FREE.includes(type) ? 'free' : type),
              maxEntries: (): number => call.maxEntries(map),
              setMaxEntries: (n: number): void => void call.setMaxEntries(map, n),
              valueSize: (): number => call.valueSize(map),
              setValueSize: (n: number): void => void call.setValueSize(map, n),
            };
          }),
        /** @returns 0, or the negated errno */
        load: (): number => call.load(object),
        close: (): void => call.close(object),
      };
    },
  };
}
