/** Values that belong to sockets, inodes, tasks and cgroups. @see kernel/bpf/bpf_local_storage.c */
import { Bug } from '../../../base/error.ts';
import type { HelperImpl, HelperRun } from '../../interpreter/environment.ts';
import { CgroupStorageMap, LocalStorageMap } from '../../maps/index.ts';
import { addr } from './values.ts';

function storage(run: HelperRun, pointer: bigint): LocalStorageMap {
  const map = run.map(pointer);
  if (map instanceof LocalStorageMap) return map;
  throw new Bug(`a local storage helper on a map of type ${map.shape.type}`);
}

/** The value of the owner with that struct; made, where flags ask for it. */
const get: HelperImpl = (run, map, owner, initial, flags) =>
  BigInt(storage(run, map).get(addr(owner), addr(initial), flags));

const remove: HelperImpl = (run, map, owner) => storage(run, map).forget(addr(owner));

export const sk_storage_get = get;
export const sk_storage_delete = remove;
export const inode_storage_get = get;
export const inode_storage_delete = remove;
export const task_storage_get = get;
export const task_storage_delete = remove;
export const cgrp_storage_get = get;
export const cgrp_storage_delete = remove;

/** The value of the attachment that the program runs by. */
export const get_local_storage: HelperImpl = (run, pointer) => {
  const map = run.map(pointer);
  if (map instanceof CgroupStorageMap) return BigInt(map.detached);
  throw new Bug(`a cgroup's storage in a map of type ${map.shape.type}`);
};
