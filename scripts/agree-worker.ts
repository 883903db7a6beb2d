/** The process that judges cases for `agree.ts`, which ends it when a case takes too long. */
import { openLinux } from '../src/linux/index.ts';
import { type Privilege, type Result, runUnit, type Unit } from './agree-cases.ts';
import { TwoKernels } from './agree-kernels.ts';

/** What the parent asks for. */
export interface Order {
  readonly unit: Unit;
  readonly privilege: Privilege;
  readonly filter: string | undefined;
  readonly skip: readonly string[];
  readonly log2: readonly string[];
  readonly keepLogs: boolean;
  readonly expectationsOnly: boolean;
}

/** What this process says. */
export type Report =
  | { readonly kind: 'begin'; readonly id: string }
  | { readonly kind: 'result'; readonly result: Result }
  | { readonly kind: 'done' };

const kernels = new TwoKernels(openLinux());
const say = (report: Report): void => void process.send!(report);

process.on('message', (order: Order) => {
  const options = {
    privilege: order.privilege,
    filter: order.filter === undefined ? undefined : new RegExp(order.filter),
    skip: new Set(order.skip),
    log2: new Set(order.log2),
    keepLogs: order.keepLogs,
    expectationsOnly: order.expectationsOnly,
  };
  for (const step of runUnit(kernels, order.unit, options)) {
    say('begin' in step ? { kind: 'begin', id: step.begin } : { kind: 'result', result: step.result });
  }
  say({ kind: 'done' });
});
