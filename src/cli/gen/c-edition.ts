/** What versions of libbpf make of an object, and what skeletons of theirs look like. */
import { InputError } from '../../base/error.ts';

/** The libbpf that a C skeleton is for. */
export interface CEdition {
  readonly version: string;
  /** Spells `typeof`. */
  readonly typeof: string;
  /** Sections `.struct_ops.link`, `?.struct_ops`, `.bss.NAME`, globals of an arena, attributes of 64 bits. */
  readonly newSections: boolean;
  /** Tables of functions have a shadow that can be set, and a link. */
  readonly shadows: boolean;
  /** All maps of global data are seen, also those all of whose variables are static; hidden ones are not static. */
  readonly allData: boolean;
}

/** By the first version of libbpf that knows all that such a skeleton uses. */
const EDITIONS: readonly CEdition[] = [
  { version: '1.1', typeof: 'typeof', newSections: false, shadows: false, allData: true },
  { version: '1.8', typeof: '__typeof__', newSections: true, shadows: true, allData: false },
];

/** @param version as `--c=VERSION` says it; empty for the oldest, which every later libbpf takes */
export function editionOf(version: string): CEdition {
  const found = version === '' ? EDITIONS[0] : EDITIONS.find((edition) => edition.version === version);
  if (found) return found;
  const known = EDITIONS.map((edition) => edition.version).join(' and ');
  throw new InputError('cli-gen', `--c=${version}: C skeletons are written for libbpf ${known}`);
}
