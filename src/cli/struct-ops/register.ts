import { resolve } from 'node:path';
import { InputError } from '../../base/error.ts';
import { BpfLink, type LoadedObject, loadObject, parseObject } from '../../loader/index.ts';
import { readWhole } from '../files.ts';
import type { Call } from '../grammar/call.ts';
import { absolute } from '../grammar/command-line.ts';
import { mountForPin } from '../grammar/pins.ts';
import { Failed, refusedAs, strerror, Usage } from '../grammar/refusal.ts';
import { infoOf } from '../grammar/selectors.ts';
import { tableName, takeStructOps } from './select.ts';

/** `struct_ops register OBJ [LINK_DIR]`. What has a link stays only where that is pinned. */
export async function registerStructOps(call: Call): Promise<void> {
  const { words, out } = call;
  if (words.left !== 1 && words.left !== 2) throw new Usage();
  const file = words.take();
  const folder = words.left > 0 ? absolute(call, words.take()) : undefined;
  const world = await call.world();
  const { kernel } = world;
  let object: LoadedObject;
  try {
    object = loadObject(kernel, parseObject(readWhole(absolute(call, file)), file));
  } catch (error) {
    throw refusedAs(`can't load objfile ${file}`, error);
  }
  const tables = [...object.maps.values()].filter(({ spec }) => spec.structOps);
  let failed = false;
  for (const map of tables) {
    const info = infoOf(kernel, map.fd, 'map');
    const what = `${tableName(kernel, info)} ${info.name}`;
    try {
      const link = map.attachStructOps();
      if (!(link instanceof BpfLink)) {
        out.info(`Registered ${what} id ${info.id}`);
        continue;
      }
      if (folder !== undefined) {
        const path = resolve(folder, info.name);
        mountForPin(call, world, path);
        link.pin(path);
      }
      const { id } = infoOf(kernel, link.fd, 'link');
      out.info(`Registered ${what} map id ${info.id} link id ${id}`);
    } catch (error) {
      failed = true;
      out.error(`can't register struct_ops ${map.name}: ${strerror(error)}`);
    }
  }
  if (failed) throw new Failed();
  if (tables.length === 0) throw new InputError('cli-struct-ops', `no struct_ops found in ${file}`);
  out.done();
}

/** `struct_ops unregister id ID | name NAME`. */
export async function unregisterStructOps(call: Call): Promise<void> {
  const { out } = call;
  const { maps, name } = await takeStructOps(call, true);
  const { kernel } = await call.world();
  let failed = false;
  for (const { fd, info } of maps) {
    const what = `${tableName(kernel, info)} ${info.name} id ${info.id}`;
    try {
      kernel.bpf.map_delete_elem({ map_fd: fd, key: new Uint8Array(4) });
      out.info(`Unregistered ${what}`);
    } catch (error) {
      failed = true;
      out.error(`can't unload ${what}: ${strerror(error)}`);
    }
  }
  if (maps.length === 0) throw new InputError('cli-struct-ops', `no struct_ops found for ${name}`);
  if (failed) throw new Failed();
  out.done();
}
