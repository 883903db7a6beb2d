import type { Io } from '../io.ts';
import type { World } from '../world/world.ts';
import type { Flags } from './flags.ts';
import type { Output } from './output.ts';
import type { Words } from './words.ts';

/** One command line of bpftool's grammar while it runs. */
export interface Call {
  readonly io: Io;
  readonly flags: Flags;
  readonly words: Words;
  readonly out: Output;
  /** The kernel and what is around it; opened by the first command that asks. */
  readonly world: () => Promise<World>;
  /** Prints the usage of the object that the words have named so far. */
  usage: () => void;
}
