/**
 * The kernel in a page: bundled for the browser, the examples do in headless Chromium what they do in Node. Once in a page
 * that is cross-origin isolated, over shared memory, and once in one that is not, on one processor. Skipped where there is no
 * Chromium (Debian's package `chromium`, or `CHROMIUM=/path/to/it`).
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename } from 'node:path';
import { build } from 'esbuild';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type PageFile, type PageReport, type ParallelReport, runPage } from './page.ts';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
/** For bundling, and for the browser to start. */
const START_MS = 120_000;
/** What a page must be served with for `SharedArrayBuffer`. */
const ISOLATED = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

const list = (folder: string, kind: RegExp): string[] =>
  readdirSync(folder)
    .filter((name) => kind.test(name))
    .toSorted()
    .map((name) => `${folder}/${name}`);
const objects = list('examples', /\.o$/);
const captures = list('examples/captures', /\.pcap(ng)?$/);
const file = (path: string): PageFile => ({
  name: basename(path),
  bytes: new Uint8Array(readFileSync(path)),
});

/** What the page calls: files come as base64. */
const ENTRY = `
import { runPage, runParallel } from './page.ts';
const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const files = (list) => list.map(({ name, base64 }) => ({ name, bytes: bytes(base64) }));
globalThis.skepPage = (objects, captures) => runPage(files(objects), files(captures), true);
globalThis.skepParallel = (object, program, capture) => {
  const thread = () => {
    const worker = new Worker('worker.js');
    const made = {
      onAnswer: undefined,
      post: (order) => worker.postMessage(order),
      terminate: () => worker.terminate(),
    };
    worker.onmessage = ({ data }) => made.onAnswer?.(data);
    worker.onerror = ({ message }) => made.onAnswer?.({ kind: 'failed', message });
    return made;
  };
  return runParallel(files([object])[0], program, bytes(capture), thread);
};
`;

/** A thread of the page. */
const WORKER_ENTRY = `
import { serveProcessor } from '../../src/kernel/processor.ts';
onmessage = ({ data }) => serveProcessor(data, (answer) => postMessage(answer));
`;

async function bundle(contents: string): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: 'test/browser', loader: 'ts' },
    bundle: true,
    write: false,
    format: 'iife',
    platform: 'browser',
    target: 'chrome120',
    logLevel: 'error',
  });
  return outputFiles[0]!.text;
}

describe.skipIf(!existsSync(CHROMIUM))('in Chromium', () => {
  let browser: Browser;
  let server: Server;
  let scripts: Readonly<Record<string, string>>;

  beforeAll(async () => {
    scripts = { 'page.js': await bundle(ENTRY), 'worker.js': await bundle(WORKER_ENTRY) };
    server = createServer(({ url }, response) => {
      const isolated = url?.startsWith('/isolated') ?? false;
      const script = scripts[url?.split('/').at(-1) ?? ''];
      response.writeHead(200, {
        'Content-Type': script ? 'text/javascript' : 'text/html',
        ...(isolated && ISOLATED),
      });
      response.end(script ?? '<!doctype html><script src="page.js"></script>');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
  }, START_MS);

  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  /** Evaluates something in a page of a folder. */
  async function inPage<T>(folder: string, call: string): Promise<T> {
    const page = await browser.newPage();
    const problems: string[] = [];
    page.on('pageerror', (error) => problems.push(error.message));
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/${folder}/`);
    const report = (await page.evaluate(call)) as T;
    expect(problems).toEqual([]);
    await page.close();
    return report;
  }

  const encoded = (path: string) => ({ name: basename(path), base64: readFileSync(path).toString('base64') });
  const list64 = (paths: readonly string[]) => JSON.stringify(paths.map(encoded));
  const examples = (folder: string) =>
    inPage<PageReport & { readonly isolated: boolean }>(
      folder,
      `({ isolated: crossOriginIsolated, ...skepPage(${list64(objects)}, ${list64(captures)}) })`,
    );

  const inNode = (shared: boolean) => runPage(objects.map(file), captures.map(file), shared);

  it('does the same as Node, over shared memory, where the page is cross-origin isolated', async () => {
    const { isolated, ...report } = await examples('isolated');
    expect(isolated).toBe(true);
    expect(report.shared).toBe(true);
    expect(report).toEqual(inNode(true));
    expect(report.packets).toBeGreaterThan(1000);
  });

  it('does the same on one processor where it is not, and says why', async () => {
    const { isolated, ...report } = await examples('plain');
    expect(isolated).toBe(false);
    expect(report.reason).toContain('shared memory is not available here');
    const { runs, maps, packets } = inNode(false);
    expect(report).toEqual({ shared: false, reason: report.reason, runs, maps, packets });
  });

  it('runs a capture on two processors, as workers of the page', async () => {
    const object = encoded('test/batch/processors.o');
    const capture = readFileSync('examples/captures/mixed.pcap').toString('base64');
    const call = `skepParallel(${JSON.stringify(object)}, 'count', ${JSON.stringify(capture)})`;
    const { one, many, packets } = await inPage<ParallelReport>('isolated', call);
    expect(many).toBe(one);
    expect(packets).toBeGreaterThan(10);
  });
});
