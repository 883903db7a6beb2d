import { basename } from 'node:path';
import { InputError } from '../../base/error.ts';
import type { BtfTypeId } from '../../btf/index.ts';
import { type MapSpec, mapShape, type ObjectSpec, parseObject, propertyName } from '../../loader/index.ts';
import { readWhole } from '../files.ts';
import type { Call } from '../grammar/call.ts';
import { absolute } from '../grammar/command-line.ts';
import { attempt, Usage } from '../grammar/refusal.ts';
import { arrayOf, pascalCase, TypeScriptTypes } from './types.ts';

/** Characters of base64 on a line. */
const LINE = 100;
/** Names that the module takes from the package. */
const IMPORTED = ['MapView', 'QueueView', 'LoadedMap', 'Skeleton'];
const PER_CPU = /^(lru_)?percpu_(hash|array)$|^percpu_cgroup_storage$/;

/** `gen skeleton FILE [name NAME]`: a TypeScript module with the object in it, on standard output. */
export async function generateSkeleton(call: Call): Promise<void> {
  const { words, out } = call;
  if (words.left < 1) throw new Usage();
  const file = words.take();
  const name = takeName(call) ?? objectName(file);
  const bytes = attempt(`failed to open BPF object file`, () => readWhole(absolute(call, file)));
  out.print(skeletonModule(parseObject(bytes, file), bytes, name, basename(file)));
}

function takeName({ words }: Call): string | undefined {
  if (words.left === 0) return undefined;
  const word = words.peek();
  if (!words.accept('name')) throw new InputError('cli-gen', `unknown argument ${word}`);
  const name = words.take();
  words.end();
  if (!/^[A-Za-z_$][A-Za-z0-9_$]*$/.test(name)) {
    throw new InputError('cli-gen', `${name} can't be the name of an object; letters, digits and _ can`);
  }
  return name;
}

/** `syn_counter` of `/tmp/syn-counter.bpf.o`. */
function objectName(file: string): string {
  const name = basename(file)
    .replace(/(\.bpf)?\.o$/, '')
    .replaceAll(/[^A-Za-z0-9_]/g, '_');
  return /^[0-9]/.test(name) ? `_${name}` : name;
}

/** @param name of what the module exports */
export function skeletonModule(spec: ObjectSpec, bytes: Uint8Array, name: string, file: string): string {
  const title = pascalCase(name);
  const own = { types: `${title}Types`, maps: `${title}Maps`, globals: `${title}Globals` };
  const types = spec.btf && new TypeScriptTypes(spec.btf, [...IMPORTED, ...Object.values(own)]);
  const text = (id: BtfTypeId) => (types && id !== 0 ? types.text(id) : 'Uint8Array');
  const used = new Set(['Skeleton']);
  const maps = [...spec.maps.values()].map(
    (map) => `  readonly ${propertyName(map.name)}: ${mapType(map, text, used)};\n`,
  );
  const globals = [...spec.variables.values()].map((variable) => {
    const constant = variable.map.startsWith('.rodata') ? '/** Constant once it is loaded. */\n  ' : '';
    return `  ${constant}${propertyName(variable.name)}: ${text(variable.type)};\n`;
  });
  const programs = [...spec.programs.keys()].map((program) => `'${program}'`).join(' | ') || 'never';
  const base64 = Buffer.from(bytes).toString('base64');
  const lines = base64.match(new RegExp(`.{1,${LINE}}`, 'g')) ?? [];
  const imports = [...used]
    .sort((a, b) => a.localeCompare(b))
    .map((item) => (item === 'Skeleton' ? item : `type ${item}`));
  return `/** ${file} as a module. Written by \`skep gen skeleton\`: write it anew when the object changes. */
import { ${imports.join(', ')} } from 'skep';

${types ? types.interfaces.map((one) => `${one}\n`).join('') : ''}/** The maps by name. */
export interface ${own.maps} ${block(maps)}

/** The global variables by name. */
export interface ${own.globals} ${block(globals)}

export interface ${own.types} {
  readonly programs: ${programs};
  readonly maps: ${own.maps};
  readonly globals: ${own.globals};
}

export const ${name} = new Skeleton<${own.types}>({
  file: ${JSON.stringify(file)},
  object: \`
${lines.join('\n')}
\`,
});
`;
}

function block(lines: readonly string[]): string {
  return lines.length === 0 ? 'extends Readonly<Record<never, never>> {}' : `{\n${lines.join('')}}`;
}

function mapType(map: MapSpec, text: (id: BtfTypeId) => string, used: Set<string>): string {
  const shape = mapShape(map);
  const type = shape === 'view' ? 'MapView' : shape === 'queue' ? 'QueueView' : 'LoadedMap';
  used.add(type);
  if (shape === 'map') return type;
  const value = map.inner || map.type === 'prog_array' ? 'number' : text(map.valueType);
  if (shape === 'queue') return `QueueView<${value}>`;
  const keyText = map.keyType === 0 && map.keySize === 4 ? 'number' : text(map.keyType);
  const wholeKey = map.type === 'lpm_trie' ? `${keyText} | string` : keyText;
  return `MapView<${wholeKey}, ${PER_CPU.test(map.type) ? arrayOf(value) : value}>`;
}
