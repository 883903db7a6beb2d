import { InputError } from '../../base/error.ts';
import type { Feature } from '../../loader/index.ts';
import { type Helper, helperNames, type Kernel, type ProgType } from '../../sys/index.ts';
import type { Call } from '../grammar/call.ts';
import type { JsonWriter } from '../grammar/json-writer.ts';
import { takeDevice } from '../map/create.ts';
import { type Asked, deviceAsked, kernelAsked } from './asked.ts';
import { CONFIG_OPTIONS, MACRO_OPTIONS, SETTINGS } from './config.ts';

/** What bpftool calls the features that it looks for beside types and helpers. */
const MISC: readonly { readonly feature: Feature; readonly name: string; readonly says: string }[] = [
  { feature: 'large_insn_limit', name: 'large_insn_limit', says: 'Large program size limit' },
  { feature: 'bounded_loops', name: 'bounded_loops', says: 'Bounded loop support' },
  { feature: 'isa_v2', name: 'v2_isa_extension', says: 'ISA extension v2' },
  { feature: 'isa_v3', name: 'v3_isa_extension', says: 'ISA extension v3' },
  { feature: 'isa_v4', name: 'v4_isa_extension', says: 'ISA extension v4' },
];
/** Calls that leave a note in the kernel's log. */
const NOISY: ReadonlySet<Helper> = new Set<Helper>(['trace_printk', 'trace_vprintk', 'probe_write_user']);

interface Wanted {
  component: 'kernel' | { readonly device: number } | undefined;
  full: boolean;
  /** What macros begin with; absent: none are wanted. */
  prefix: string | undefined;
}

/** `feature probe [kernel | dev NAME] [full] [unprivileged] [macros [prefix PREFIX]]`. */
export async function probeFeatures(call: Call): Promise<void> {
  const { out } = call;
  const wanted = await takeWanted(call);
  const { kernel } = await call.world();
  const { component } = wanted;
  const device = typeof component === 'object' ? component.device : undefined;
  const asked = device === undefined ? kernelAsked(kernel) : deviceAsked(kernel, device);
  const probe = new Probe(call, kernel, asked, out.json ? undefined : wanted.prefix);
  out.json?.startObject();
  if (device === undefined) probe.configuration();
  probe.syscall();
  const types = probe.programTypes();
  probe.mapTypes();
  probe.helpers(types, wanted.full);
  probe.misc();
  out.json?.endObject();
}

async function takeWanted(call: Call): Promise<Wanted> {
  const { words } = call;
  const wanted: Wanted = { component: undefined, full: false, prefix: undefined };
  const fail = (message: string) => new InputError('cli-feature', message);
  while (words.left > 0) {
    const word = words.peek();
    if (words.accept('kernel')) {
      if (wanted.component) throw fail('component to probe already specified');
      wanted.component = 'kernel';
    } else if (words.accept('dev')) {
      if (wanted.component) throw fail('component to probe already specified');
      words.need(1);
      wanted.component = { device: takeDevice(words, await call.world()) };
    } else if (words.accept('full')) wanted.full = true;
    else if (wanted.prefix === undefined && words.accept('macros')) wanted.prefix = '';
    else if (words.accept('prefix')) {
      if (wanted.prefix === undefined) throw fail("'prefix' argument can only be use after 'macros'");
      if (wanted.prefix !== '') throw fail("'prefix' already defined");
      words.need(1);
      wanted.prefix = words.take();
    } else if (words.accept('unprivileged')) {
      throw fail('unprivileged run not supported; run the command as that user');
    } else {
      const near = words.near(['kernel', 'dev', 'full', 'unprivileged', 'macros', 'prefix']);
      throw new InputError(
        'cli-feature',
        `expected no more arguments, 'kernel', 'dev', 'macros' or 'prefix', got: '${word}'?`,
        near === '' ? {} : { detail: near },
      );
    }
  }
  return wanted;
}

class Probe {
  readonly #call: Call;
  readonly #kernel: Kernel;
  readonly #asked: Asked;
  readonly #prefix: string | undefined;

  constructor(call: Call, kernel: Kernel, asked: Asked, prefix: string | undefined) {
    this.#call = call;
    this.#kernel = kernel;
    this.#asked = asked;
    this.#prefix = prefix;
  }

  get #json(): JsonWriter | undefined {
    return this.#call.out.json;
  }

  #print(text: string): void {
    this.#call.out.print(text);
  }

  #section(json: string, plain: string, comment: string, list: () => void): void {
    if (this.#json) this.#json.name(json).startObject();
    else this.#print(`${this.#prefix === undefined ? plain : `/*** ${comment} ***/`}\n`);
    list();
    if (this.#json) this.#json.endObject();
    else this.#print('\n');
    this.#call.out.flush();
  }

  /** @param name `have_NAME` in JSON @param macro after `HAVE_` */
  #feature(name: string, says: string, macro: string, has: boolean): void {
    if (this.#json) this.#json.field(name, has);
    else if (this.#prefix === undefined) this.#print(`${says} is ${has ? '' : 'NOT '}available\n`);
    else this.#print(`#define ${this.#prefix}${has ? '' : 'NO_'}HAVE_${macro}\n`);
  }

  configuration(): void {
    this.#section('system_config', 'Scanning system configuration...', 'Misc kernel config items', () => {
      if (this.#prefix === undefined) for (const setting of SETTINGS) this.#setting(setting);
      for (const option of CONFIG_OPTIONS) {
        if (this.#prefix === undefined || MACRO_OPTIONS.has(option)) this.#option(option);
      }
    });
  }

  #setting({ name, path, says, other }: (typeof SETTINGS)[number]): void {
    const bytes = this.#kernel.files.read_file(path);
    const text = bytes === undefined ? '' : new TextDecoder().decode(bytes).trim();
    const value = /^-?\d+$/.test(text) ? Number(text) : -1;
    if (this.#json) this.#json.field(name, value);
    else this.#print(`${says[value] ?? other(value)}\n`);
  }

  #option(name: string): void {
    const value = this.#kernel.kconfig(name);
    if (this.#json) this.#json.field(name, value ?? null);
    else if (this.#prefix !== undefined) {
      this.#print(
        value === undefined
          ? `/* ${this.#prefix}${name} is not set */\n`
          : `#define ${this.#prefix}${name} ${value}\n`,
      );
    } else this.#print(`${name} is ${value === undefined ? 'not set' : `set to ${value}`}\n`);
  }

  /** Who can open the kernel has the call. */
  syscall(): void {
    this.#section('syscall_config', 'Scanning system call availability...', 'System call availability', () =>
      this.#feature('have_bpf_syscall', 'bpf() syscall', 'BPF_SYSCALL', true),
    );
  }

  programTypes(): ReadonlySet<ProgType> {
    const found = new Set<ProgType>();
    this.#section('program_types', 'Scanning eBPF program types...', 'eBPF program types', () => {
      for (const type of this.#asked.progTypes) {
        const has = this.#asked.hasProgType(type);
        if (has) found.add(type);
        const macro = `${type.toUpperCase()}_PROG_TYPE`;
        this.#feature(`have_${type}_prog_type`, `eBPF program_type ${type}`, macro, has);
      }
    });
    return found;
  }

  mapTypes(): void {
    this.#section('map_types', 'Scanning eBPF map types...', 'eBPF map types', () => {
      for (const type of this.#asked.mapTypes) {
        const macro = `${type.toUpperCase()}_MAP_TYPE`;
        const has = this.#asked.hasMapType(type);
        this.#feature(`have_${type}_map_type`, `eBPF map_type ${type}`, macro, has);
      }
    });
  }

  helpers(types: ReadonlySet<ProgType>, full: boolean): void {
    const names = helperNames.filter((name) => full || !NOISY.has(name));
    this.#section('helpers', 'Scanning eBPF helper functions...', 'eBPF helper functions', () => {
      if (this.#prefix !== undefined) this.#print(helperMacro(this.#prefix));
      for (const type of this.#asked.progTypes) this.#helpersOf(type, types.has(type), names);
    });
  }

  #helpersOf(type: ProgType, known: boolean, names: readonly Helper[]): void {
    const json = this.#json;
    const plain = !json && this.#prefix === undefined;
    if (json) json.name(`${type}_available_helpers`).startArray();
    else if (plain) this.#print(`eBPF helpers supported for program type ${type}:`);
    let any = false;
    for (const name of names) {
      const has = known && this.#asked.hasHelper(type, name);
      any ||= has;
      if (this.#prefix !== undefined && !json) {
        this.#print(`#define ${this.#prefix}BPF__PROG_TYPE_${type}__HELPER_bpf_${name} ${has ? '1' : '0'}\n`);
      } else if (has && json) json.value(`bpf_${name}`);
      else if (has) this.#print(`\n\t- bpf_${name}`);
    }
    if (json) json.endArray();
    else if (plain) {
      this.#print('\n');
      if (!known) this.#print('\tProgram type not supported\n');
      else if (!any) this.#print('\tCould not determine which helpers are available\n');
    }
  }

  misc(): void {
    this.#section('misc', 'Scanning miscellaneous eBPF features...', 'eBPF misc features', () => {
      for (const { feature, name, says } of MISC) {
        this.#feature(`have_${name}`, says, name.toUpperCase(), this.#asked.hasFeature(feature));
      }
    });
  }
}

/** The macro by which a C program asks for a helper, and how it does. */
function helperMacro(prefix: string): string {
  return `/*
 * Use ${prefix}HAVE_PROG_TYPE_HELPER(prog_type_name, helper_name)
 * to determine if <helper_name> is available for <prog_type_name>,
 * e.g.
 *	#if ${prefix}HAVE_PROG_TYPE_HELPER(xdp, bpf_redirect)
 *		// do stuff with this helper
 *	#elif
 *		// use a workaround
 *	#endif
 */
#define ${prefix}HAVE_PROG_TYPE_HELPER(prog_type, helper)	\\
	${prefix}BPF__PROG_TYPE_ ## prog_type ## __HELPER_ ## helper
`;
}
