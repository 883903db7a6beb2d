import type { Command } from './registry.ts';
export const runCommand = {} as Command;
