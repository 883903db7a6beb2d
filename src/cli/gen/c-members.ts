/** The members of a C skeleton, and the code that tells libbpf where they are. */
import type { CMap, CObject } from './c-object.ts';

/** Bytes of libbpf's description of a map: as it was, and with the link that a table of functions has. */
const MAP_SIZE = 24;
const LINKED_MAP_SIZE = 32;

/** A struct with these lines in it, or nothing. */
function struct(name: string, lines: readonly string[]): string {
  return lines.length === 0 ? '' : `\tstruct {\n${lines.join('')}\t} ${name};\n`;
}

export function mapMembers({ maps }: CObject, type = 'struct bpf_map *'): string {
  return struct(
    'maps',
    maps.map(({ ident }) => `\t\t${type}${ident};\n`),
  );
}

export function programMembers({ programs }: CObject, type = 'struct bpf_program *'): string {
  return struct(
    'progs',
    programs.map(({ name }) => `\t\t${type}${name};\n`),
  );
}

/** @param member a link's member, of the name of what it links */
export function linkMembers(object: CObject, member = (name: string) => `struct bpf_link *${name}`): string {
  const names = object.programs.map(({ name }) => name);
  if (object.edition.shadows) names.push(...object.maps.filter(isTable).map(({ ident }) => ident));
  return struct(
    'links',
    names.map((name) => `\t\t${member(name)};\n`),
  );
}

function isTable({ spec }: CMap): boolean {
  return spec.type === 'struct_ops';
}

/** What the members of a skeleton are tied to. */
export interface Ties {
  /** Maps of global data to the structs of their variables. */
  readonly data: boolean;
  /** Programs and tables of functions to their links. */
  readonly links: boolean;
}

/** Tells libbpf of the maps. */
export function describeMaps(object: CObject, ties: Ties): string {
  const { maps, edition } = object;
  if (maps.length === 0) return '';
  const modern = edition.shadows;
  const size = ties.links && maps.some(isTable) ? LINKED_MAP_SIZE : MAP_SIZE;
  const head = modern
    ? `	s->map_skel_sz = ${size};
	s->maps = (struct bpf_map_skeleton *)calloc(s->map_cnt,
			sizeof(*s->maps) > ${size} ? sizeof(*s->maps) : ${size});
`
    : `	s->map_skel_sz = sizeof(*s->maps);
	s->maps = (struct bpf_map_skeleton *)calloc(s->map_cnt, s->map_skel_sz);
`;
  const each = maps.map((map, i) => {
    const at = modern ? 'map->' : `s->maps[${i}].`;
    const place = `\tmap = (struct bpf_map_skeleton *)((char *)s->maps + ${i} * s->map_skel_sz);\n`;
    let text = `\n${modern ? place : ''}\t${at}name = "${map.name}";\n\t${at}map = &obj->maps.${map.ident};\n`;
    if (ties.data && map.data !== undefined) text += `\t${at}mmaped = (void **)&obj->${map.data};\n`;
    if (modern && ties.links && isTable(map)) text += `\t${at}link = &obj->links.${map.ident};\n`;
    return text;
  });
  return `
	/* maps */
	s->map_cnt = ${maps.length};
${head}	if (!s->maps) {
		err = -ENOMEM;
		goto err;
	}
${each.join('')}`;
}

/** Tells libbpf of the programs. */
export function describePrograms({ programs }: CObject, ties: Ties): string {
  if (programs.length === 0) return '';
  const each = programs.map(({ name }, i) => {
    const link = ties.links ? `\ts->progs[${i}].link = &obj->links.${name};\n` : '';
    return `\n\ts->progs[${i}].name = "${name}";\n\ts->progs[${i}].prog = &obj->progs.${name};\n${link}`;
  });
  return `
	/* programs */
	s->prog_cnt = ${programs.length};
	s->prog_skel_sz = sizeof(*s->progs);
	s->progs = (struct bpf_prog_skeleton *)calloc(s->prog_cnt, s->prog_skel_sz);
	if (!s->progs) {
		err = -ENOMEM;
		goto err;
	}
${each.join('')}`;
}
