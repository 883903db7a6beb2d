import { basename } from 'node:path';
import type { BtfTypeId } from '../../btf/index.ts';
import { type MapSpec, mapShape, type ObjectSpec, parseObject, propertyName } from '../../loader/index.ts';
import type { Call } from '../grammar/call.ts';
import { takeObject } from './take-object.ts';
import { arrayOf, pascalCase, TypeScriptTypes } from './types.ts';

/** Characters of base64 on a line. */
const LINE = 100;
/** Names that the module takes from the package. */
const IMPORTED = ['MapView', 'QueueView', 'LoadedMap', 'Skeleton'];
const PER_CPU = /^(lru_)?percpu_(hash|array)$|^percpu_cgroup_storage$/;

/** `gen skeleton FILE [name NAME]`: a TypeScript module with the object in it, or with `--c` a C header, on standard output. */
export async function generateSkeleton(call: Call): Promise<void> {
  const { flags, out } = call;
  if (flags.c !== undefined || flags.useLoader) {
    const { generateCSkeleton } = await import('./c-command.ts');
    return generateCSkeleton(call);
  }
  const { file, name = objectName(file), bytes } = takeObject(call);
  out.print(skeletonModule(parseObject(bytes, file), bytes, name, basename(file)));
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
