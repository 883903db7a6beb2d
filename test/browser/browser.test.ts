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
import { type PageFile, type PageReport, runPage } from './page.ts';

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
import { runPage } from './page.ts';
const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const files = (list) => list.map(({ name, base64 }) => ({ name, bytes: bytes(base64) }));
globalThis.skepPage = (objects, captures) => runPage(files(objects), files(captures), true);
`;

async function bundle(): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: ENTRY, resolveDir: 'test/browser', loader: 'ts' },
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
  let script: string;

  beforeAll(async () => {
    script = await bundle();
    server = createServer(({ url }, response) => {
      const isolated = url?.startsWith('/isolated') ?? false;
      const isScript = url?.endsWith('.js') ?? false;
      response.writeHead(200, {
        'Content-Type': isScript ? 'text/javascript' : 'text/html',
        ...(isolated && ISOLATED),
      });
      response.end(isScript ? script : '<!doctype html><script src="page.js"></script>');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
  }, START_MS);

  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  async function inPage(folder: string): Promise<PageReport & { readonly isolated: boolean }> {
    const page = await browser.newPage();
    const problems: string[] = [];
    page.on('pageerror', (error) => problems.push(error.message));
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/${folder}/`);
    const encoded = (paths: readonly string[]) =>
      paths.map((path) => ({ name: basename(path), base64: readFileSync(path).toString('base64') }));
    const call = `({ isolated: crossOriginIsolated, ...skepPage(${JSON.stringify(encoded(objects))}, ${JSON.stringify(encoded(captures))}) })`;
    const report = (await page.evaluate(call)) as PageReport & { readonly isolated: boolean };
    expect(problems).toEqual([]);
    await page.close();
    return report;
  }

  const inNode = (shared: boolean) => runPage(objects.map(file), captures.map(file), shared);

  it('does the same as Node, over shared memory, where the page is cross-origin isolated', async () => {
    const { isolated, ...report } = await inPage('isolated');
    expect(isolated).toBe(true);
    expect(report.shared).toBe(true);
    expect(report).toEqual(inNode(true));
    expect(report.packets).toBeGreaterThan(1000);
  });

  it('does the same on one processor where it is not, and says why', async () => {
    const { isolated, ...report } = await inPage('plain');
    expect(isolated).toBe(false);
    expect(report.reason).toContain('shared memory is not available here');
    const { runs, maps, packets } = inNode(false);
    expect(report).toEqual({ shared: false, reason: report.reason, runs, maps, packets });
  });
});
