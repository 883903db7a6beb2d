import { describe, expect, it } from 'vitest';
import { embeddedWorld } from '../../src/cli/world/embedded.ts';
import { createKernel } from '../../src/index.ts';
import { skep } from './harness.ts';

/** Command lines against one kernel that stays. */
function session() {
  const kernel = createKernel();
  const run = (line: string) => skep(line.split(' '), { world: () => embeddedWorld(kernel) });
  return { kernel, run };
}

describe('the words of iproute2', () => {
  it('hang a classifier on a device, list it and take it off', async () => {
    const { kernel, run } = session();
    expect(await run('tc qdisc add dev lo clsact')).toMatchObject({ code: 0, stderr: '' });
    expect((await run('tc qdisc add dev lo clsact')).code).not.toBe(0);
    const add = 'tc filter add dev lo ingress bpf da obj examples/rewrite_tc.o sec tc';
    expect(await run(add)).toMatchObject({ code: 0, stderr: '' });
    const shown = await run('-j tc filter show dev lo ingress');
    expect(JSON.parse(shown.stdout)).toMatchObject([
      { kind: 'bpf', protocol: 'all' },
      { options: { handle: '0x1', bpf_name: 'rewrite_tc.o:[tc]', 'direct-action': true } },
    ]);
    expect(await run('tc filter del dev lo ingress')).toMatchObject({ code: 0, stderr: '' });
    expect((await run('tc filter show dev lo ingress')).stdout).toBe('');
    kernel.close();
  });

  it('put XDP on a device, and off', async () => {
    const { kernel, run } = session();
    expect(await run('ip link set dev lo xdp obj examples/firewall.o')).toMatchObject({
      code: 0,
      stderr: '',
    });
    expect((await run('ip link show dev lo')).stdout).toContain('prog/xdp id ');
    expect(JSON.parse((await run('-j net show')).stdout)[0].xdp).toMatchObject([{ devname: 'lo' }]);
    expect(await run('ip link set dev lo xdp off')).toMatchObject({ code: 0, stderr: '' });
    expect((await run('ip link show dev lo')).stdout).not.toContain('prog/xdp');
    kernel.close();
  });

  it('say what is missing', async () => {
    const { kernel, run } = session();
    expect((await run('ip link set dev eth9 xdp off')).stderr).toContain(
      'Cannot find device "eth9"; there are: lo',
    );
    const noSection = await run('ip link set dev lo xdp obj examples/firewall.o sec nope');
    expect(noSection.stderr).toMatch(/has no section nope; its programs: xdp \(firewall\)/);
    expect((await run('tc filter add dev lo ingress u32')).stderr).toContain("'bpf' is");
    kernel.close();
  });
});
