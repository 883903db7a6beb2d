import { basename } from 'node:path';
import { InputError } from '../../base/error.ts';
import { readBpfElf } from '../../elf/index.ts';
import { type ObjectSpec, parseObject } from '../../loader/index.ts';
import type { Errno } from '../../sys/index.ts';
import type { Call } from '../grammar/call.ts';
import { errnoExit, errnoOf, exitWith, FAILURE, strerror } from '../grammar/refusal.ts';
import { type CEdition, editionOf } from './c-edition.ts';
import { type CObject, describeObject, identifier } from './c-object.ts';
import { cSkeleton } from './c-skeleton.ts';
import { cSubskeleton } from './c-subskeleton.ts';
import { type TakenObject, takeObject } from './take-object.ts';

/** Characters of an object's name that libbpf keeps. */
const MAX_PREFIX = 15;
/** Characters of a file's name that a skeleton is called by. */
const MAX_NAME = 63;
/** What libbpf says of objects that are none, and of such as refer to what it does not know; and bpftool's exit codes. */
const NO_OBJECT = { text: 'BPF object format invalid', exitCode: 95 };
const NOT_KNOWN = { text: 'Relocation failed', exitCode: 91 };
const OTHER_ENDIAN = { text: 'Endian mismatch', exitCode: 93 };
const KNOWN: Readonly<Record<string, typeof NO_OBJECT>> = {
  'cli-gen': NOT_KNOWN,
  'cli-endian': OTHER_ENDIAN,
};
/** What libbpf answers to an object that is well-formed but can't be opened, by the code of skep's own refusal. */
const ERRNOS: Readonly<Record<string, Errno>> = {
  'loader-extern': 'ENOENT',
  'loader-btf-variable': 'EOPNOTSUPP',
  'loader-map': 'EINVAL',
  'loader-map-type': 'EINVAL',
};

/** `gen skeleton --c FILE [name NAME]`: a C header with the object in it, or with `-L` a program that loads it. */
export async function generateCSkeleton(call: Call): Promise<void> {
  const { flags, out } = call;
  const edition = editionOf(flags.c ?? '');
  if (flags.sign) {
    throw new InputError(
      'cli-sign',
      'skeletons are not signed here: leave -S, -k and -i out, or sign with bpftool',
    );
  }
  const taken = takeObject(call);
  const { object, spec } = await open(taken, edition, nameOf(taken).slice(0, MAX_PREFIX), undefined);
  if (!flags.useLoader) {
    out.print(cSkeleton(object, taken.bytes));
    return;
  }
  const { buildLoader } = await import('./light/object-loader.ts');
  const { cLightSkeleton } = await import('./light/c-light.ts');
  const { kernel } = await call.world();
  try {
    out.print(cLightSkeleton(object, buildLoader(object, spec, kernel)));
  } catch (error) {
    await exitWith(errnoExit(error), async () => {
      throw error;
    });
  }
}

/** `gen subskeleton FILE [name NAME]`: a C header of what the object brings into another, on standard output. */
export async function generateSubskeleton(call: Call): Promise<void> {
  const { flags, out } = call;
  const edition = editionOf(flags.c ?? '');
  const taken = takeObject(call);
  if (flags.useLoader) throw new InputError('cli-gen', 'cannot use loader for subskeletons');
  const { object } = await open(taken, edition, '', FAILURE);
  if (!object.btf) throw new InputError('cli-gen', `need btf type information for ${object.name}`);
  out.print(cSubskeleton(object));
}

/** `firewall_bpf` of `/tmp/firewall.bpf.o`. */
function nameOf({ file, name }: TakenObject): string {
  return name ?? identifier(basename(file).slice(0, MAX_NAME).replace(/\.o$/, ''));
}

/**
 * @param prefix what maps of global data are called by
 * @param exitCode of any failure; `undefined` for bpftool's own of each
 */
async function open(
  taken: TakenObject,
  edition: CEdition,
  prefix: string,
  exitCode: number | undefined,
): Promise<{ readonly object: CObject; readonly spec: ObjectSpec }> {
  try {
    const { bytes, file } = taken;
    const elf = readBpfElf(bytes, file);
    const spec = parseObject(bytes, file);
    return { object: describeObject(spec, elf, { name: nameOf(taken), prefix }, edition), spec };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    const errno = errnoOf(error) ?? ERRNOS[error.code];
    const known = KNOWN[error.code] ?? NO_OBJECT;
    const refused = new InputError(error.code, error.message, errno === undefined ? {} : { errno });
    const text = errno === undefined ? known.text : strerror(refused);
    const code = exitCode ?? (errno === undefined ? known.exitCode : errnoExit(refused));
    return exitWith(code, async () => {
      throw new InputError('cli-gen', `failed to open BPF object file: ${text}`, { cause: error });
    });
  }
}
