import { describe, expect, it } from 'vitest';
import { type Route, Routes } from './routes.ts';

const v4 = (text: string) => Uint8Array.from(text.split('.'), Number);
const route = (prefix: string, length: number, over: Partial<Route> = {}): Route => ({
  prefix: v4(prefix),
  length,
  ifindex: 2,
  ...over,
});

describe('Routes', () => {
  const routes = new Routes({
    routes: [
      route('0.0.0.0', 0, { gateway: v4('10.0.0.254') }),
      route('10.0.0.0', 8, { ifindex: 3, metric: 5 }),
      route('10.0.0.0', 8, { ifindex: 4, metric: 1 }),
      route('10.1.128.0', 17, { ifindex: 5 }),
      route('10.2.0.0', 16, { table: 7, ifindex: 6 }),
    ],
    neighbours: [{ ifindex: 4, address: v4('10.9.9.9'), hardware: Uint8Array.of(2, 0, 0, 0, 0, 1) }],
  });

  it.each([
    ['192.168.0.1', 2],
    ['10.9.9.9', 4],
    ['10.1.127.1', 4],
    ['10.1.128.1', 5],
    ['10.2.0.1', 4],
  ])('takes the longest prefix of %s, then the least metric', (address, ifindex) => {
    expect(routes.find(v4(address))?.ifindex).toBe(ifindex);
  });

  it('has tables', () => {
    expect(routes.find(v4('10.2.0.1'), 7)?.ifindex).toBe(6);
    expect(routes.find(v4('10.3.0.1'), 7)).toBeUndefined();
  });

  it('knows neighbours by their link', () => {
    expect(routes.neighbour(4, v4('10.9.9.9'))?.hardware[5]).toBe(1);
    expect(routes.neighbour(5, v4('10.9.9.9'))).toBeUndefined();
  });

  it('forwards only where it has routes, unless it is told', () => {
    expect([routes.forwarding, new Routes().forwarding]).toEqual([true, false]);
    expect(new Routes({ routes: [], forwarding: false }).forwarding).toBe(false);
    expect(routes.find(new Uint8Array(16))).toBeUndefined();
  });
});
