/** What a thread that is a processor needs of the kernel. */
export type { OpenSource, ProcessorAnswer, ProcessorOrder, ReadAt } from './parallel/port.ts';
export { serveProcessor } from './parallel/processor.ts';
