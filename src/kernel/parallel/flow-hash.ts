/**
 * Which processor a packet goes to: receive-side scaling as network cards do it. The Toeplitz hash of the flow (addresses and
 * ports; addresses alone of fragments and of other protocols than TCP, UDP and SCTP; 0 of what is not IP, or is cut short),
 * with a key of 0x6d5a again and again, which gives both directions of a flow the same hash. Its low seven bits index a
 * table of processors.
 *
 * With such a key the hash of some words is the hash of their exclusive or, so two tables of 256 entries do.
 *
 * @see Microsoft, "Verifying the RSS Hash Calculation"; S. Woo and K. Park, "Scalable TCP Session Monitoring with Symmetric
 * Receive-side Scaling" (2012)
 */
import {
  add,
  and,
  block,
  define,
  type Expr,
  eq,
  i32,
  type Local,
  leU,
  load,
  load8,
  load16,
  load64,
  loop,
  not,
  or,
  result,
  seq,
  shl,
  shrU,
  store,
  store64,
  sub,
  when,
  xor,
} from '../batch/code.ts';
import { LENGTH, ROW } from '../batch/row.ts';
import type { ModuleWriter } from '../jit/wasm/module.ts';

const KEY = 0x6d5a_6d5a;

const ROW_SHIFT = Math.log2(ROW.size);

/** Entries of the table of processors, as most cards have. */
export const INDIRECTION = 128;

/** What {@link defineAssign} reads, by offset in bytes. */
export const SPREAD = {
  /** By the first and by the second byte of the words' exclusive or: 16 bits each. */
  first: 0,
  second: 512,
  /** By the hash's low bits: a processor each. */
  processors: 1024,
  size: 1024 + 4 * INDIRECTION,
} as const;

function rotl(value: number, by: number): number {
  return ((value << by) | (value >>> (32 - by))) >>> 0;
}

/** The hash of 16 bits, the first one first. */
function hashWord(word: number): number {
  let hash = 0;
  for (let bit = 0; bit < 16; bit++) if (word & (0x8000 >> bit)) hash ^= rotl(KEY, bit);
  return hash >>> 0;
}

/** Toeplitz's hash of an even number of bytes. */
export function flowHashOf(bytes: Uint8Array): number {
  let word = 0;
  for (let i = 0; i < bytes.length; i += 2) word ^= (bytes[i]! << 8) | bytes[i + 1]!;
  return hashWord(word);
}

/** Fills the tables. */
export function spreadTables(processors: number): Uint8Array {
  const bytes = new Uint8Array(SPREAD.size);
  const view = new DataView(bytes.buffer);
  for (let byte = 0; byte < 256; byte++) {
    view.setUint16(SPREAD.first + 2 * byte, hashWord(byte << 8) & 0xffff, true);
    view.setUint16(SPREAD.second + 2 * byte, hashWord(byte) & 0xffff, true);
  }
  for (let i = 0; i < INDIRECTION; i++) view.setUint32(SPREAD.processors + 4 * i, i % processors, true);
  return bytes;
}

const ETH_HLEN = 14;
const big = (protocol: number) => ((protocol & 0xff) << 8) | (protocol >> 8);
const ETH_P_IP = big(0x0800);
const ETH_P_IPV6 = big(0x86dd);
const TAGS = [big(0x8100), big(0x88a8)] as const;
const IPPROTO = { tcp: 6, udp: 17, sctp: 132 } as const;
/** The more-fragments flag and the offset of an IPv4 header, as they lie in memory. */
const FRAGMENT = big(0x3fff);

/**
 * Writes into each row, in place of the verdict, which processor its packet goes to: `(row, end, tables, counts)`. `counts`
 * has a word for each processor, to which the bytes of its rows are added.
 */
export function defineAssign(module: ModuleWriter): number {
  return define(module, { params: 4 }, ({ params, local }) => {
    const [row, end, tables, counts] = params as [Local, Local, Local, Local];
    const at = local();
    const left = local();
    const word = local();
    const type = local();
    const protocol = local();
    const ports = local();
    const to = local();
    const isPorts = or(
      or(eq(protocol.get, i32(IPPROTO.tcp)), eq(protocol.get, i32(IPPROTO.udp))),
      eq(protocol.get, i32(IPPROTO.sctp)),
    );
    /** Takes the ports into the hash, where they are. */
    const mixPorts = when(
      isPorts,
      when(leU(add(ports.get, i32(4)), left.get), word.set(xor(word.get, load(add(at.get, ports.get))))),
    );
    const v4 = when(
      // A header is five words at least; what is shorter is no packet.
      leU(i32(20), left.get),
      seq(
        word.set(xor(load(at.get, 12), load(at.get, 16))),
        protocol.set(load8(at.get, 9)),
        ports.set(shl(and(load8(at.get), i32(15)), i32(2))),
        when(not(and(load16(at.get, 6), i32(FRAGMENT))), mixPorts),
      ),
    );
    const v6 = when(
      leU(i32(40), left.get),
      seq(
        word.set(i32(0)),
        ...Array.from({ length: 8 }, (_, i) => word.set(xor(word.get, load(at.get, 8 + 4 * i)))),
        protocol.set(load8(at.get, 6)),
        ports.set(i32(40)),
        mixPorts,
      ),
    );
    const isTag = or(eq(type.get, i32(TAGS[0])), eq(type.get, i32(TAGS[1])));
    const hash = (folded: Expr) =>
      xor(
        load16(add(tables.get, shl(and(folded, i32(0xff)), i32(1))), SPREAD.first),
        load16(add(tables.get, shl(and(shrU(folded, i32(8)), i32(0xff)), i32(1))), SPREAD.second),
      );
    return block((done) =>
      loop((again) =>
        seq(
          done.goIf(eq(row.get, end.get)),
          word.set(i32(0)),
          left.set(and(load(row.get, ROW.length), i32(LENGTH))),
          at.set(load(row.get, ROW.addr)),
          when(
            leU(i32(ETH_HLEN + 4), left.get),
            seq(
              type.set(load16(at.get, 12)),
              at.set(add(at.get, i32(ETH_HLEN))),
              left.set(sub(left.get, i32(ETH_HLEN))),
              when(
                isTag,
                seq(
                  type.set(load16(at.get, 2)),
                  at.set(add(at.get, i32(4))),
                  left.set(sub(left.get, i32(4))),
                ),
              ),
              when(eq(type.get, i32(ETH_P_IP)), v4, when(eq(type.get, i32(ETH_P_IPV6)), v6)),
            ),
          ),
          word.set(xor(word.get, shrU(word.get, i32(16)))),
          // The word's first byte in the packet is its low one here.
          to.set(
            load(add(tables.get, shl(and(hash(word.get), i32(INDIRECTION - 1)), i32(2))), SPREAD.processors),
          ),
          store(row.get, to.get, ROW.verdict),
          to.set(add(counts.get, shl(to.get, i32(2)))),
          store(to.get, add(load(to.get), i32(ROW.size))),
          row.set(add(row.get, i32(ROW.size))),
          again.go,
        ),
      ),
    );
  });
}

/**
 * Copies rows to where their processors' go: `(row, end, next)`. `next` has, for each processor, where the next of its rows
 * goes.
 */
export function defineDeal(module: ModuleWriter): number {
  return define(module, { params: 3 }, ({ params, local }) => {
    const [row, end, next] = params as [Local, Local, Local];
    const word = local();
    const to = local();
    return block((done) =>
      loop((again) =>
        seq(
          done.goIf(eq(row.get, end.get)),
          word.set(add(next.get, shl(load(row.get, ROW.verdict), i32(2)))),
          store64(to.tee(load(word.get)), load64(row.get)),
          store(word.get, add(to.get, i32(ROW.size))),
          row.set(add(row.get, i32(ROW.size))),
          again.go,
        ),
      ),
    );
  });
}

/** Moves a processor's rows to the front: `(row, end, cpu)`. @returns the function's index; it returns where they end */
export function defineKeep(module: ModuleWriter): number {
  return define(module, { params: 3, results: ['i32'] }, ({ params, local }) => {
    const [row, end, cpu] = params as [Local, Local, Local];
    const to = local();
    return seq(
      to.set(row.get),
      block((done) =>
        loop((again) =>
          seq(
            done.goIf(eq(row.get, end.get)),
            store64(to.get, load64(row.get)),
            // Without a branch: which way it goes can't be foreseen.
            to.set(add(to.get, shl(eq(load(row.get, ROW.verdict), cpu.get), i32(ROW_SHIFT)))),
            row.set(add(row.get, i32(ROW.size))),
            again.go,
          ),
        ),
      ),
      result(to.get),
    );
  });
}
