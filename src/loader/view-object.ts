import type { LoadedObject } from './object.ts';
import { type MapView, mapView, type QueueView, queueView, type ViewOptions } from './view.ts';
import type { ViewValue } from './view-codec.ts';

/** A loaded object's map, by the types that the object declares. @throws InputError naming the maps that there are */
export function objectView<K = ViewValue, V = ViewValue>(
  object: LoadedObject,
  name: string,
  options: ViewOptions = {},
): MapView<K, V> {
  return mapView<K, V>(object.kernel, object.map(name), { ...declared(object, name), ...options });
}

/** A loaded object's queue or stack, by the type that the object declares. */
export function objectQueue<V = ViewValue>(
  object: LoadedObject,
  name: string,
  options: ViewOptions = {},
): QueueView<V> {
  return queueView<V>(object.kernel, object.map(name), { ...declared(object, name), ...options });
}

/** The kernel takes no types for some kinds of maps; the object has them. */
function declared({ spec }: LoadedObject, name: string): ViewOptions {
  const map = spec.maps.get(name);
  if (!spec.btf || !map) return {};
  return { btf: spec.btf, keyType: map.keyType, valueType: map.valueType };
}
