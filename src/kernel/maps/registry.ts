/** The map types that this kernel has: what each demands, and how it is made. */
import { Bug } from '../../base/error.ts';
import type { MapType } from '../../sys/map-types.ts';
import { ArenaMap, checkArena } from './arena.ts';
import { ArrayMap, checkArrayLike, checkPercpuArray, PercpuArrayMap } from './array.ts';
import { BloomFilterMap, checkBloomFilter } from './bloom-filter.ts';
import { CgroupArrayMap } from './cgroup-array.ts';
import { CgroupStorageMap, checkCgroupStorage } from './cgroup-storage.ts';
import type { Check } from './checks.ts';
import { Cpumap, checkCpumap } from './cpumap.ts';
import { checkDevmap, Devmap, DevmapHash } from './devmap.ts';
import type { KnownMapType } from './facts.ts';
import { checkHash, HashMap, PercpuHashMap } from './hash.ts';
import { ArrayOfMaps, checkHashOfMaps, HashOfMaps } from './inner-map.ts';
import { checkLocalStorage, LocalStorageMap } from './local-storage.ts';
import { checkLpmTrie, LpmTrieMap } from './lpm-trie.ts';
import { LruHashMap } from './lru-hash.ts';
import type { BpfMap, MapHost, MapShape } from './map.ts';
import { checkObjectArray } from './object-array.ts';
import { PerfEventArrayMap } from './perf-event-array.ts';
import { ProgArrayMap } from './prog-array.ts';
import { checkQueue, QueueMap } from './queue.ts';
import { checkRingbuf, RingbufMap } from './ringbuf.ts';
import {
  checkReuseport,
  checkSockhash,
  checkSockmap,
  checkXskmap,
  ReuseportSockarray,
  Sockhash,
  Sockmap,
  Xskmap,
} from './socket-map.ts';
import { checkStackTrace, StackTraceMap } from './stack-trace.ts';
import { checkStructOps, StructOpsMap } from './struct-ops.ts';
import { UserRingbufMap } from './user-ringbuf.ts';

interface MapKind {
  readonly check: Check;
  /** @param inner the pattern of the inner maps, for maps of maps */
  readonly create: (host: MapHost, shape: MapShape, inner: MapShape | undefined) => BpfMap;
  /** Needs `inner_map_fd`. */
  readonly ofMaps?: true;
}

type Plain = new (host: MapHost, shape: MapShape) => BpfMap;
type OfMaps = new (host: MapHost, shape: MapShape, inner: MapShape) => BpfMap;

const plain = (check: Check, Type: Plain): MapKind => ({
  check,
  create: (host, shape) => new Type(host, shape),
});

const ofMaps = (check: Check, Type: OfMaps): MapKind => ({
  check,
  ofMaps: true,
  create: (host, shape, inner) => {
    if (!inner) throw new Bug(`creating a ${shape.type} map without its inner map`);
    return new Type(host, shape, inner);
  },
});

const KINDS: Readonly<Record<KnownMapType, MapKind>> = {
  hash: plain(checkHash, HashMap),
  array: plain(checkArrayLike, ArrayMap),
  prog_array: plain(checkObjectArray, ProgArrayMap),
  perf_event_array: plain(checkObjectArray, PerfEventArrayMap),
  percpu_hash: plain(checkHash, PercpuHashMap),
  percpu_array: plain(checkPercpuArray, PercpuArrayMap),
  stack_trace: plain(checkStackTrace, StackTraceMap),
  cgroup_array: plain(checkObjectArray, CgroupArrayMap),
  lru_hash: plain(checkHash, LruHashMap),
  lru_percpu_hash: plain(checkHash, LruHashMap),
  lpm_trie: plain(checkLpmTrie, LpmTrieMap),
  array_of_maps: ofMaps(checkObjectArray, ArrayOfMaps),
  hash_of_maps: ofMaps(checkHashOfMaps, HashOfMaps),
  devmap: plain(checkDevmap, Devmap),
  sockmap: plain(checkSockmap, Sockmap),
  cpumap: plain(checkCpumap, Cpumap),
  xskmap: plain(checkXskmap, Xskmap),
  sockhash: plain(checkSockhash, Sockhash),
  cgroup_storage: plain(checkCgroupStorage, CgroupStorageMap),
  reuseport_sockarray: plain(checkReuseport, ReuseportSockarray),
  percpu_cgroup_storage: plain(checkCgroupStorage, CgroupStorageMap),
  queue: plain(checkQueue, QueueMap),
  stack: plain(checkQueue, QueueMap),
  sk_storage: plain(checkLocalStorage, LocalStorageMap),
  devmap_hash: plain(checkDevmap, DevmapHash),
  struct_ops: plain(checkStructOps, StructOpsMap),
  ringbuf: plain(checkRingbuf, RingbufMap),
  inode_storage: plain(checkLocalStorage, LocalStorageMap),
  task_storage: plain(checkLocalStorage, LocalStorageMap),
  bloom_filter: plain(checkBloomFilter, BloomFilterMap),
  user_ringbuf: plain(checkRingbuf, UserRingbufMap),
  cgrp_storage: plain(checkLocalStorage, LocalStorageMap),
  arena: plain(checkArena, ArenaMap),
};

export const MAP_KINDS: Readonly<Partial<Record<MapType, MapKind>>> = KINDS;
