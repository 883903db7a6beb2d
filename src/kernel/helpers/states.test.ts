import { describe, expect, it } from 'vitest';
import { HELPERS } from '../../sys/helper-ids.ts';
import { kfuncNames } from '../kfuncs/index.ts';
import { isImplemented } from './callable.ts';
import { ABSENT } from './impl/absent.ts';
import { helperStates, kfuncStates } from './states.ts';

describe('states of helpers and kernel functions', () => {
  it('says of all 211 helpers how far they go, and refuses none', () => {
    const states = helperStates();
    expect(states).toHaveLength(211);
    expect(states.filter(([, { state }]) => state === 'refused')).toEqual([]);
    expect(Object.values(HELPERS).every(({ id }) => isImplemented(id))).toBe(true);
  });

  it('lists as absent only what is answered for', () => {
    const absent = helperStates().filter(([, { state }]) => state === 'waits' || state === 'meaningless');
    expect(absent.map(([name]) => name).toSorted()).toEqual(Object.keys(ABSENT).toSorted());
  });

  it('says it of every kernel function, and refuses none', () => {
    const states = kfuncStates();
    expect(states.map(([name]) => name)).toEqual(kfuncNames());
    expect(states.filter(([, { state }]) => state === 'refused')).toEqual([]);
  });
});
