/** One processor of the storm: random operations on maps that other threads work on at the same time. */
import { parentPort, workerData } from 'node:worker_threads';

const { module, memory, cpu, rounds, seed, maps, key, value, counters } = workerData;
const host = { mayWait: new WebAssembly.Global({ value: 'i32' }, 1) };
// What the host does is not needed here: there is memory for all elements, and values hold nothing.
for (const { module: from, name } of WebAssembly.Module.imports(module)) {
  if (from === 'host') host[name] ??= () => 0;
}
const { exports: kernel } = new WebAssembly.Instance(module, { env: { memory }, host });
const words = new Int32Array(memory.buffer);

let state = seed;
function random(below) {
  state = (Math.imul(state, 1664525) + 1013904223) | 0;
  return Math.floor(((state >>> 0) / 2 ** 32) * below);
}

function setKey(number, size) {
  for (let i = 0; i < size; i += 4) words[(key + i) >> 2] = i === 0 ? number : i;
}

const problems = [];
let added = 0;
let inserted = 0;
let removed = 0;
let found = 0;
for (let round = 0; round < rounds; round++) {
  const map = maps[random(maps.length)];
  const { address, keySize, kept, keys, kind } = map;
  const number = random(keys);
  setKey(number, keySize);
  const name = (operation) => `${kind}_${operation}`;
  if (number < kept) {
    // Never deleted: whatever happens around it, it is found.
    const place = map.percpu
      ? kernel[name('lookup_percpu')](address, key, cpu)
      : kernel[name(keySize === 4 || keySize === 16 ? `lookup${keySize}` : 'lookup')](address, key);
    if (place === 0) problems.push(`key ${number} of ${map.name} is not found`);
    else {
      Atomics.add(words, place >>> 2, 1);
      added++;
    }
    continue;
  }
  words[value >> 2] = number;
  const action = random(10);
  if (action < 4) {
    const put = map.percpu ? `${kind}_put_percpu` : `${kind}_put`;
    const flags = random(3);
    const status = map.percpu
      ? kernel[put](address, key, value, flags, cpu, cpu)
      : kernel[put](address, key, value, flags, cpu);
    if (![0, -17, -2, -7].includes(status)) problems.push(`${put} on ${map.name}: ${status}`);
    if (status === 0 && flags === 1) inserted++;
  } else if (action < 8) {
    const status = kernel[name('delete')](address, key, cpu);
    if (status !== 0 && status !== -2) problems.push(`delete on ${map.name}: ${status}`);
    if (status === 0) removed++;
  } else if (map.percpu) found += kernel[name('lookup_percpu')](address, key, cpu) === 0 ? 0 : 1;
  else found += kernel[name('lookup')](address, key) === 0 ? 0 : 1;
  if (problems.length > 10) break;
}
// A counter behind a lock, and not atomic.
for (let i = 0; i < 20_000; i++) {
  kernel.spin_lock(counters);
  words[(counters + 4) >> 2]++;
  kernel.spin_unlock(counters);
}
parentPort.postMessage({ problems, added, inserted, removed, found });
