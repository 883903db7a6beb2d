/** A routing table and neighbours, as the caller gives them, for `bpf_fib_lookup`. */

/** A route. The longest prefix that fits is taken, then the least metric. */
export interface Route {
  /** Four or sixteen bytes. */
  readonly prefix: Uint8Array;
  /** Bits of it that count. */
  readonly length: number;
  /** The device that packets leave by. */
  readonly ifindex: number;
  /** The next hop; absent: the destination itself. */
  readonly gateway?: Uint8Array;
  /** The address that packets are sent from. */
  readonly source?: Uint8Array;
  readonly metric?: number;
  /** Number of the table; default 254, the main one. */
  readonly table?: number;
  /** What becomes of packets; default `unicast`. */
  readonly type?: 'unicast' | 'local' | 'blackhole' | 'unreachable' | 'prohibit';
}

/** Who has an address on a link. */
export interface Neighbour {
  readonly ifindex: number;
  readonly address: Uint8Array;
  /** Six bytes. */
  readonly hardware: Uint8Array;
}

export interface RoutingSpec {
  readonly routes: readonly Route[];
  readonly neighbours?: readonly Neighbour[];
  /** Whether devices pass packets on; default true where there are routes, as a router's. */
  readonly forwarding?: boolean;
}

const MAIN = 254;

const equal = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, i) => byte === b[i]);

function covers({ prefix, length }: Route, address: Uint8Array): boolean {
  if (prefix.length !== address.length) return false;
  const whole = length >> 3;
  for (let i = 0; i < whole; i++) if (prefix[i] !== address[i]) return false;
  const rest = length & 7;
  return rest === 0 || prefix[whole]! >> (8 - rest) === address[whole]! >> (8 - rest);
}

export class Routes {
  readonly #spec: RoutingSpec | undefined;

  constructor(spec?: RoutingSpec) {
    this.#spec = spec;
  }

  get forwarding(): boolean {
    return this.#spec?.forwarding ?? this.#spec !== undefined;
  }

  find(destination: Uint8Array, table = MAIN): Route | undefined {
    let best: Route | undefined;
    for (const route of this.#spec?.routes ?? []) {
      if ((route.table ?? MAIN) !== table || !covers(route, destination)) continue;
      const better =
        best === undefined ||
        route.length > best.length ||
        (route.length === best.length && (route.metric ?? 0) < (best.metric ?? 0));
      if (better) best = route;
    }
    return best;
  }

  neighbour(ifindex: number, address: Uint8Array): Neighbour | undefined {
    return this.#spec?.neighbours?.find((one) => one.ifindex === ifindex && equal(one.address, address));
  }
}
