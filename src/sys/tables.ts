/** The names that bpf(2)'s tables give to types; each table is a file of its own beside this one. */
export type { AttachType } from './attach-types.ts';
export type { Command } from './commands.ts';
export type { Helper } from './helper-ids.ts';
export type { LinkType } from './link-types.ts';
export type { MapType } from './map-types.ts';
export type { ProgType } from './prog-types.ts';
