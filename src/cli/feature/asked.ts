/** Who is asked what it can do: the kernel, or a device that programs are offloaded to. */
import { type Feature, hasFeature, hasHelper, hasMapType, hasProgType } from '../../loader/index.ts';
import {
  type Helper,
  type Kernel,
  type MapType,
  mapTypeNames,
  type ProgType,
  progTypeNames,
} from '../../sys/index.ts';

export interface Asked {
  /** The types that are asked for. */
  readonly progTypes: readonly ProgType[];
  readonly mapTypes: readonly MapType[];
  readonly hasProgType: (type: ProgType) => boolean;
  readonly hasMapType: (type: MapType) => boolean;
  readonly hasHelper: (type: ProgType, helper: Helper) => boolean;
  readonly hasFeature: (feature: Feature) => boolean;
}

export function kernelAsked(kernel: Kernel): Asked {
  return {
    progTypes: progTypeNames,
    mapTypes: mapTypeNames,
    hasProgType: (type) => hasProgType(kernel, type),
    hasMapType: (type) => hasMapType(kernel, type),
    hasHelper: (type, helper) => hasHelper(kernel, type, helper),
    hasFeature: (feature) => hasFeature(kernel, feature),
  };
}

/** Linux offloads these alone. */
const OFFLOADED = { programs: ['sched_cls', 'xdp'], maps: ['hash', 'array'] } as const;

/** The features are asked for with a socket filter, which no device takes: a device has none of them. */
export function deviceAsked(kernel: Kernel, ifindex: number): Asked {
  const bpf: Kernel['bpf'] = {
    ...kernel.bpf,
    prog_load: (attr) => kernel.bpf.prog_load({ ...attr, prog_ifindex: ifindex }),
    map_create: (attr) => kernel.bpf.map_create({ ...attr, map_ifindex: ifindex }),
  };
  const device = new Proxy(kernel, {
    get: (target, name) => {
      if (name === 'bpf') return bpf;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return {
    ...kernelAsked(device),
    progTypes: OFFLOADED.programs,
    mapTypes: OFFLOADED.maps,
    hasFeature: () => false,
  };
}
