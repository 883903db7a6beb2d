import { expect, it } from 'vitest';
import { takesMapType } from './map-types.ts';

it.each([
  ['map_lookup_elem', 'hash', true],
  ['map_lookup_elem', 'array_of_maps', true],
  ['map_update_elem', 'hash_of_maps', false],
  ['map_lookup_elem', 'ringbuf', false],
  ['map_push_elem', 'queue', true],
  ['map_push_elem', 'hash', false],
  ['map_pop_elem', 'bloom_filter', false],
  ['map_lookup_percpu_elem', 'percpu_array', true],
  ['map_lookup_percpu_elem', 'hash', false],
  ['tail_call', 'prog_array', true],
  ['tail_call', 'array', false],
  ['ringbuf_output', 'ringbuf', true],
  ['for_each_map_elem', 'hash', true],
] as const)('%s with a %s map: %s', (helper, type, taken) => {
  expect(takesMapType(helper, type)).toBe(taken);
});
