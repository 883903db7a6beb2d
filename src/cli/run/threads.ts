/** Processors as threads of this process. */
import { Worker } from 'node:worker_threads';
import type { ProcessorAnswer, Thread } from '../../kernel/index.ts';

/** The built command has its threads' code beside it; from source it is TypeScript, which a thread has to learn first. */
const SOURCE = import.meta.url.endsWith('.ts');
const LEARN = `
const { workerData } = require('node:worker_threads');
import('tsx/esm/api').then(({ register }) => {
  register();
  return import(workerData);
});`;

export function makeThread(): Thread {
  if (!SOURCE) return threadOf(new Worker(new URL('./worker.js', import.meta.url)));
  const { href } = new URL('./worker.ts', import.meta.url);
  return threadOf(new Worker(LEARN, { eval: true, workerData: href }));
}

/** A thread that runs `worker.ts`. */
export function threadOf(worker: Worker): Thread {
  const thread: Thread = {
    onAnswer: undefined,
    post: (order) => worker.postMessage(order),
    terminate: () => worker.terminate(),
  };
  worker.on('message', (answer: ProcessorAnswer) => thread.onAnswer?.(answer));
  worker.on('error', (error) => thread.onAnswer?.({ kind: 'failed', message: error.stack ?? error.message }));
  worker.on('exit', (code) => {
    if (code !== 0) thread.onAnswer?.({ kind: 'failed', message: `it exited with ${code}` });
  });
  return thread;
}
