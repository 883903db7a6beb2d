/**
 * Finds the packets of a piece of a capture: a row for each. Stops in front of the first record that is not whole, and of
 * whatever is out of the ordinary; the capture's reader judges that.
 */
import type { ModuleWriter } from '../jit/wasm/module.ts';
import {
  add,
  and,
  block,
  define,
  type Expr,
  eq,
  geU,
  gtU,
  i32,
  type Local,
  load,
  load16,
  loop,
  ltU,
  ne,
  not,
  or,
  result,
  seq,
  shl,
  shrU,
  store,
  sub,
  swap32,
} from './code.ts';
import { BOX, ROW } from './row.ts';
import { ENHANCED_PACKET, LEAST_BLOCK, RECORD_HEADER } from './scan-layout.ts';

/** Bytes of an enhanced packet block in front of the packet. */
const PACKET_AT = 28;

const pad4 = (size: Expr) => and(add(size, i32(3)), i32(-4));

/** Writes a row. */
function putRow(row: Local, addr: Expr, captured: Local, wire: Expr): Expr {
  return seq(
    store(row.get, addr, ROW.addr),
    store(row.get, or(captured.get, shl(gtU(wire, captured.get), i32(31))), ROW.length),
    row.set(add(row.get, i32(ROW.size))),
  );
}

/**
 * Of a pcap file: `(at, end, rows, rowsEnd, limit, box)`.
 * @param swapped the file's byte order is the other one than WebAssembly's
 * @returns the function's index; it returns the end of the rows
 */
export function defineScanPcap(module: ModuleWriter, swapped: boolean): number {
  const word = (at: Expr, offset: number) => (swapped ? swap32(load(at, offset)) : load(at, offset));
  return define(module, { params: 6, results: ['i32'] }, ({ params, local }) => {
    const [at, end, row, rowsEnd, limit, box] = params as Six;
    const captured = local();
    const data = local();
    return seq(
      block((done) =>
        loop((again) =>
          seq(
            done.goIf(eq(row.get, rowsEnd.get)),
            done.goIf(ltU(sub(end.get, at.get), i32(RECORD_HEADER))),
            data.set(add(at.get, i32(RECORD_HEADER))),
            done.goIf(gtU(captured.tee(word(at.get, 8)), limit.get)),
            done.goIf(ltU(sub(end.get, data.get), captured.get)),
            putRow(row, data.get, captured, word(at.get, 12)),
            at.set(add(data.get, captured.get)),
            again.go,
          ),
        ),
      ),
      store(box.get, at.get, BOX.at),
      result(row.get),
    );
  });
}

type Six = [Local, Local, Local, Local, Local, Local];
type Seven = [...Six, Local];

/**
 * Of a pcapng file: `(at, end, rows, rowsEnd, limits, interfaces, box)`. `limits` has one more than the most bytes of a
 * packet for each interface; 0 has the packets of the interface looked at one by one.
 */
export function defineScanPcapng(module: ModuleWriter, swapped: boolean): number {
  const word = (at: Expr, offset = 0) => (swapped ? swap32(load(at, offset)) : load(at, offset));
  const half = (at: Expr, offset = 0): Expr => {
    const value = load16(at, offset);
    return swapped ? shrU(swap32(value), i32(16)) : value;
  };
  return define(module, { params: 7, results: ['i32'] }, ({ params, local }) => {
    const [at, end, row, rowsEnd, limits, interfaces, box] = params as Seven;
    const size = local();
    const captured = local();
    const id = local();
    const option = local();
    const bodyEnd = local();
    const optionSize = local();
    return seq(
      block((done) =>
        loop((again) =>
          seq(
            done.goIf(eq(row.get, rowsEnd.get)),
            done.goIf(ltU(sub(end.get, at.get), i32(LEAST_BLOCK))),
            done.goIf(ne(word(at.get), i32(ENHANCED_PACKET))),
            done.goIf(ltU(size.tee(word(at.get, 4)), i32(LEAST_BLOCK))),
            done.goIf(and(size.get, i32(3))),
            done.goIf(ltU(sub(end.get, at.get), size.get)),
            bodyEnd.set(sub(add(at.get, size.get), i32(4))),
            done.goIf(ne(word(bodyEnd.get), size.get)),
            done.goIf(geU(id.tee(word(at.get, 8)), interfaces.get)),
            done.goIf(geU(captured.tee(word(at.get, 20)), load(add(limits.get, shl(id.get, i32(2)))))),
            done.goIf(gtU(captured.get, sub(size.get, i32(LEAST_BLOCK)))),
            option.set(add(add(at.get, i32(PACKET_AT)), pad4(captured.get))),
            block((whole) =>
              loop((next) =>
                seq(
                  whole.goIf(eq(option.get, bodyEnd.get)),
                  whole.goIf(not(half(option.get))),
                  optionSize.set(half(option.get, 2)),
                  option.set(add(option.get, i32(4))),
                  // An option that leaves its block is an error, which the reader describes.
                  done.goIf(ltU(sub(bodyEnd.get, option.get), optionSize.get)),
                  option.set(add(option.get, pad4(optionSize.get))),
                  next.go,
                ),
              ),
            ),
            putRow(row, add(at.get, i32(PACKET_AT)), captured, word(at.get, 24)),
            at.set(add(at.get, size.get)),
            again.go,
          ),
        ),
      ),
      store(box.get, at.get, BOX.at),
      result(row.get),
    );
  });
}
