/** A thread that is a processor: it gets one order, does it and answers. */
import { parentPort } from 'node:worker_threads';
import { type OpenSource, type ProcessorOrder, serveProcessor } from '../../kernel/processor.ts';
import { type FileSource, readFile } from './input.ts';

/** Files are open in all threads of the process. */
const open: OpenSource = (source) => (position, into) => readFile(source as FileSource, into, position);

parentPort?.once('message', (order: ProcessorOrder) => {
  serveProcessor(order, (answer) => parentPort!.postMessage(answer), open);
});
