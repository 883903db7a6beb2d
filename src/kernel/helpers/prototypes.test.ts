import { describe, expect, it } from 'vitest';
import { HELPERS, type Helper } from '../../sys/index.ts';
import { PROTOTYPES, prototype } from './prototypes.ts';

describe('helper prototypes', () => {
  it('are all there', () => {
    expect(Object.keys(PROTOTYPES).sort()).toEqual(Object.keys(HELPERS).sort());
  });

  it('take at most five arguments, each size after the memory that it measures', () => {
    for (const name of Object.keys(PROTOTYPES) as Helper[]) {
      const { args } = PROTOTYPES[name];
      expect(args.length).toBeLessThanOrEqual(5);
      for (const [i, arg] of args.entries()) {
        if (!arg.kind.startsWith('const_size')) continue;
        expect([name, args[i - 1]?.kind]).toEqual([name, 'mem']);
      }
      const measured = args.filter((arg) => arg.kind === 'mem' && arg.size === undefined);
      expect([name, measured.length]).toEqual([
        name,
        args.filter((arg) => arg.kind.startsWith('const_size')).length,
      ]);
    }
  });

  it('differ by program type where Linux differs', () => {
    expect(prototype('setsockopt', 'sock_ops').args[0]).toEqual({ kind: 'ctx' });
    expect(prototype('setsockopt', 'cgroup_sockopt').args[0]).toEqual({ kind: 'btf_id_sock_common' });
    expect(prototype('map_lookup_elem', 'xdp')).toBe(PROTOTYPES.map_lookup_elem);
  });
});
