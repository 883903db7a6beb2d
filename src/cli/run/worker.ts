/** A thread that is a processor: it gets one order, does it and answers. */
import { parentPort } from 'node:worker_threads';
import { type ProcessorOrder, serveProcessor } from '../../kernel/processor.ts';

parentPort?.once('message', (order: ProcessorOrder) => {
  serveProcessor(order, (answer) => parentPort!.postMessage(answer));
});
