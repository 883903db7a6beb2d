import { type Fact, index } from './fact.ts';

/** The commands of bpf(2): `BPF_` and the upper-case name is `enum bpf_cmd`'s. `prog_test_run` is also `BPF_PROG_RUN`. */
export const COMMANDS = {
  map_create: { id: 0, since: '3.18' },
  map_lookup_elem: { id: 1, since: '3.18' },
  map_update_elem: { id: 2, since: '3.18' },
  map_delete_elem: { id: 3, since: '3.18' },
  map_get_next_key: { id: 4, since: '3.18' },
  prog_load: { id: 5, since: '3.18' },
  obj_pin: { id: 6, since: '4.4' },
  obj_get: { id: 7, since: '4.4' },
  prog_attach: { id: 8, since: '4.10' },
  prog_detach: { id: 9, since: '4.10' },
  prog_test_run: { id: 10, since: '4.12' },
  prog_get_next_id: { id: 11, since: '4.13' },
  map_get_next_id: { id: 12, since: '4.13' },
  prog_get_fd_by_id: { id: 13, since: '4.13' },
  map_get_fd_by_id: { id: 14, since: '4.13' },
  obj_get_info_by_fd: { id: 15, since: '4.13' },
  prog_query: { id: 16, since: '4.15' },
  raw_tracepoint_open: { id: 17, since: '4.17' },
  btf_load: { id: 18, since: '4.18' },
  btf_get_fd_by_id: { id: 19, since: '4.18' },
  task_fd_query: { id: 20, since: '4.18' },
  map_lookup_and_delete_elem: { id: 21, since: '4.20' },
  map_freeze: { id: 22, since: '5.2' },
  btf_get_next_id: { id: 23, since: '5.4' },
  map_lookup_batch: { id: 24, since: '5.6' },
  map_lookup_and_delete_batch: { id: 25, since: '5.6' },
  map_update_batch: { id: 26, since: '5.6' },
  map_delete_batch: { id: 27, since: '5.6' },
  link_create: { id: 28, since: '5.7' },
  link_update: { id: 29, since: '5.7' },
  link_get_fd_by_id: { id: 30, since: '5.8' },
  link_get_next_id: { id: 31, since: '5.8' },
  enable_stats: { id: 32, since: '5.8' },
  iter_create: { id: 33, since: '5.8' },
  link_detach: { id: 34, since: '5.9' },
  prog_bind_map: { id: 35, since: '5.10' },
  token_create: { id: 36, since: '6.9' },
  prog_stream_read_by_fd: { id: 37, since: '6.17' },
  prog_assoc_struct_ops: { id: 38, since: '7.0' },
} as const satisfies Record<string, Fact>;

export type Command = keyof typeof COMMANDS;

const commands = index(COMMANDS);
export const commandName: (id: number) => Command | undefined = commands.name;
export const isCommand: (name: string) => name is Command = commands.has;
/** In the order of their ids. */
export const commandNames: readonly Command[] = commands.names;

/** The command's name in C (`BPF_MAP_CREATE`). */
export function commandConstant(command: Command): string {
  return `BPF_${command.toUpperCase()}`;
}
