/** Counts what the rows of a batch say: `(row, end, box)`. Counters are added to. */
import type { ModuleWriter } from '../jit/wasm/module.ts';
import {
  add,
  and,
  block,
  define,
  type Expr,
  eq,
  i32,
  type Local,
  load,
  loop,
  ltU,
  seq,
  shl,
  shrU,
  store,
  sub,
  when,
} from './code.ts';
import { BOX, COUNTED, LENGTH, ROW } from './row.ts';

const bump = (box: Local, offset: number, by: Expr) => store(box.get, add(load(box.get, offset), by), offset);

function overRows(row: Local, end: Local, each: Expr): Expr {
  return block((done) =>
    loop((again) =>
      seq(done.goIf(eq(row.get, end.get)), each, row.set(add(row.get, i32(ROW.size))), again.go),
    ),
  );
}

/** By verdict. */
export function defineTally(module: ModuleWriter): number {
  return define(module, { params: 3 }, ({ params, local }) => {
    const [row, end, box] = params as [Local, Local, Local];
    const verdict = local();
    const counter = local();
    const cut = local();
    return seq(
      overRows(
        row,
        end,
        seq(
          cut.set(add(cut.get, shrU(load(row.get, ROW.length), i32(31)))),
          when(
            ltU(verdict.tee(load(row.get, ROW.verdict)), i32(COUNTED)),
            seq(counter.set(add(box.get, shl(verdict.get, i32(2)))), bump(counter, BOX.verdicts, i32(1))),
            bump(box, BOX.others, i32(1)),
          ),
        ),
      ),
      bump(box, BOX.cut, cut.get),
    );
  });
}

/** Of socket filters: by how much of the packet is kept. */
export function defineTallyKept(module: ModuleWriter): number {
  return define(module, { params: 3 }, ({ params, local }) => {
    const [row, end, box] = params as [Local, Local, Local];
    const verdict = local();
    const length = local();
    const kept = local();
    const cut = local();
    return seq(
      overRows(
        row,
        end,
        seq(
          cut.set(add(cut.get, shrU(length.tee(load(row.get, ROW.length)), i32(31)))),
          length.set(and(length.get, i32(LENGTH))),
          kept.set(length.get),
          when(
            ltU(verdict.tee(load(row.get, ROW.verdict)), length.get),
            seq(
              kept.set(verdict.get),
              when(verdict.get, bump(box, BOX.trimmed, i32(1)), bump(box, BOX.dropped, i32(1))),
            ),
            // A packet without bytes is kept by any answer but 0.
            when(verdict.get, bump(box, BOX.kept, i32(1)), bump(box, BOX.dropped, i32(1))),
          ),
          bump(box, BOX.bytesKept, kept.get),
          bump(box, BOX.bytesCut, sub(length.get, kept.get)),
        ),
      ),
      bump(box, BOX.cut, cut.get),
    );
  });
}
