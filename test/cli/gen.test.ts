import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BtfMinimizer, CoreRelocator, parseBtf } from '../../src/btf/index.ts';
import { findSection, readElf } from '../../src/elf/index.ts';
import { createKernel, type MapView, type Skeleton } from '../../src/index.ts';
import { skep, temporaryFolder } from './harness.ts';

const folder = temporaryFolder();

interface Pipeline {
  readonly programs: string;
  readonly maps: Readonly<Record<string, MapView>>;
  readonly globals: Record<string, unknown>;
}

/** Writes the skeleton of an example and imports it. */
async function skeletonOf(example: string): Promise<Skeleton<Pipeline>> {
  const { code, stdout, stderr } = await skep(['gen', 'skeleton', `examples/${example}.o`]);
  expect(code, stderr).toBe(0);
  const file = join(folder, `${example}.ts`);
  writeFileSync(file, stdout.replace("'skep'", JSON.stringify(resolve('src/index.ts'))));
  const module = (await import(file)) as Record<string, Skeleton<Pipeline>>;
  return module[example]!;
}

describe('gen skeleton', () => {
  it('writes a module that loads the object, with its maps and globals by type', async () => {
    const firewall = await skeletonOf('firewall');
    const open = firewall.open();
    const rules = open.globals.built_in as Record<string, unknown>[];
    expect(rules[0]).toMatchObject({ action: 'ACTION_ALLOW', protocol: 17, dport: 53 });
    rules[0] = { ...rules[0], dport: 5353 };
    open.globals.built_in = rules;
    using kernel = createKernel();
    using loaded = open.load(kernel);
    expect((loaded.globals.built_in as Record<string, unknown>[])[0]).toMatchObject({ dport: 5353 });
    expect(Object.keys(loaded.programs)).toEqual(['firewall']);
    const rule = { action: 'ACTION_DENY', family: 4, protocol: 6, dport: 80 };
    loaded.maps.rules!.set(3, rule);
    expect(loaded.maps.rules!.get(3)).toMatchObject(rule);
  });

  it('refuses a name that is none', async () => {
    const { code, stderr } = await skep(['gen', 'skeleton', 'examples/firewall.o', 'name', '1x']);
    expect(code).toBe(255);
    expect(stderr).toContain("1x can't be the name of an object");
  });
});

describe('a minimized BTF', () => {
  it('answers the relocations of its objects as the whole does', () => {
    const bytes = readFileSync('examples/pipeline.o');
    const elf = readElf(bytes, 'pipeline.o');
    const local = parseBtf(findSection(elf, '.BTF')!.data, '.BTF');
    // The object's own types stand in for a kernel's.
    const struct = [...local.ids()].find((id) => local.type(id).kind === 'struct')!;
    const relo = { kind: 'byte_off', type: struct, access: '0:0', insnOffset: 0 } as const;
    const minimizer = new BtfMinimizer(local);
    minimizer.add({ btf: local, relos: [relo] });
    const small = parseBtf(minimizer.encode(), 'minimized');
    const [whole, part] = [local, small].map((target) => new CoreRelocator(local, target).relocate(relo));
    expect(part).toMatchObject({ ok: true, value: whole!.ok ? whole!.value : undefined });
    expect(small.endId).toBeLessThan(local.endId);
  });
});
