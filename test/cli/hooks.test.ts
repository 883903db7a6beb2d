/** `skep cgroup`, `net`, `perf`, `iter`, `struct_ops`, `feature` and `btf` on an embedded kernel. */
import { describe, expect, it } from 'vitest';
import { kernelWorld } from './kernel-world.ts';

const P = '/sys/fs/bpf';
const OBJECTS = 'test/cli/objects';

describe('skep cgroup', () => {
  const { run, ok } = kernelWorld();
  const ROOT = '/sys/fs/cgroup';

  it('attaches, shows and detaches, in text and in JSON', async () => {
    await ok(`prog load ${OBJECTS}/bpf_sockops.o ${P}/bpf_sockop`);
    expect(await ok(`cgroup show ${ROOT}`)).toBe('');
    expect(await ok(`-j cgroup show ${ROOT}`)).toBe('\n');
    expect(await ok(`cgroup attach ${ROOT}/unified/ sock_ops pinned ${P}/bpf_sockop`)).toBe('');
    expect(await ok(`cgroup show ${ROOT}/unified/`)).toBe(
      'ID       AttachType      AttachFlags     Name           \n1        cgroup_sock_ops                 bpf_sockop     \n',
    );
    const [shown] = JSON.parse(await ok(`-j cgroup list ${ROOT}/unified`));
    expect(Object.keys(shown)).toEqual([
      'id',
      'attach_type',
      'attach_flags',
      'name',
      'attach_btf_obj_id',
      'attach_btf_id',
    ]);
    expect(shown).toMatchObject({ attach_type: 'cgroup_sock_ops', attach_flags: '', name: 'bpf_sockop' });
    expect(await ok(`-j cgroup detach ${ROOT} cgroup_sock_ops pinned ${P}/bpf_sockop`)).toBe('null\n');
    expect(await ok(`cgroup show ${ROOT}`)).toBe('');
  });

  it('makes the cgroup that a program is attached to, says so, and walks over the tree', async () => {
    const made = await run(`cgroup attach ${ROOT}/web/app sock_ops pinned ${P}/bpf_sockop multi`);
    expect([made.code, made.stderr]).toEqual([0, `made the cgroup ${ROOT}/web/app in the embedded kernel\n`]);
    expect(await ok('cgroup tree')).toContain(
      `${ROOT}/web/app\n    1        cgroup_sock_ops multi           bpf_sockop`,
    );
    expect(JSON.parse(await ok('-j cgroup tree'))).toMatchObject([
      { cgroup: `${ROOT}/web/app`, programs: [{ attach_flags: 'multi' }] },
    ]);
    expect(JSON.parse(await ok(`-j cgroup show ${ROOT}/web/app effective`))).toMatchObject([{ id: 1 }]);
  });

  it.each([
    [
      `cgroup attach ${ROOT} sock_opts pinned ${P}/bpf_sockop`,
      "invalid attach type\ndid you mean 'sock_ops'?",
    ],
    [
      `cgroup attach ${ROOT} connect4 pinned ${P}/bpf_sockop`,
      'failed to attach program\n  attaching program fd 4 to target fd 3 as cgroup_inet4_connect: the program is of type sock_ops, and cgroup_inet4_connect takes cgroup_sock_addr programs (EINVAL)',
    ],
    [
      `cgroup attach ${ROOT} sock_ops pinned ${P}/nothing`,
      `bpf obj get (${P}/nothing): No such file or directory`,
    ],
    [`cgroup attach ${ROOT} sock_ops pinned ${P}/bpf_sockop single`, 'unknown option: single'],
    [`cgroup attach /no/such sock_ops pinned ${P}/bpf_sockop`, "can't open cgroup /no/such"],
    [`cgroup show ${ROOT}/none`, `can't open cgroup ${ROOT}/none`],
    [`cgroup detach ${ROOT} sock_ops pinned ${P}/bpf_sockop`, 'failed to detach program'],
    ['cgroup attach', 'too few parameters for cgroup attach'],
  ])('%s', async (line, error) => {
    const { code, stdout, stderr } = await run(line);
    expect([code, stdout]).toEqual([255, '']);
    expect(stderr.startsWith(`Error: ${error}\n`), stderr).toBe(true);
    expect(JSON.parse((await run(`-j ${line}`)).stdout)).toEqual({ error: error.split('\n')[0] });
  });
});

describe('skep net', () => {
  const { run, ok } = kernelWorld();

  it('attaches XDP and tcx, lists by device, and detaches', async () => {
    await ok(`prog load examples/firewall.o ${P}/xdp`);
    await ok(`prog load ${OBJECTS}/classify.o ${P}/one`);
    await ok(`prog load ${OBJECTS}/classify.o ${P}/two`);
    expect(await ok('net show')).toBe('xdp:\n\ntc:\n\nflow_dissector:\n\nnetfilter:\n\n');
    expect(await ok(`-j net attach xdpgeneric pinned ${P}/xdp dev lo`)).toBe('null\n');
    await ok(`net attach tcx_ingress pinned ${P}/one dev lo`);
    await ok(`net attach tcx_ingress pinned ${P}/two dev lo prepend`);
    expect(await ok('net list dev lo')).toBe(
      `xdp:
lo(1) generic id 1

tc:
lo(1) tcx/ingress pass prog_id 3 
lo(1) tcx/ingress pass prog_id 2 

flow_dissector:

netfilter:

`,
    );
    const [listed] = JSON.parse(await ok('-j net show'));
    expect(listed.xdp).toEqual([{ devname: 'lo', ifindex: 1, mode: 'generic', id: 1 }]);
    expect(listed.tc.map((each: { prog_id: number }) => each.prog_id)).toEqual([3, 2]);
    await ok('net detach tcx_ingress dev lo');
    await ok('net detach xdpgeneric dev lo');
    expect(JSON.parse(await ok('-j net show'))[0].xdp).toEqual([]);
  });

  it.each([
    [
      `net attach xdqp pinned ${P}/xdp dev lo`,
      234,
      "invalid net attach/detach type: xdqp\ndid you mean 'xdp'?",
    ],
    [`net attach xdp pinned ${P}/xdp dev nosuchdev`, 234, 'invalid devname nosuchdev'],
    [`net attach xdp pinned ${P}/one dev lo`, 234, 'interface xdp attach failed: Invalid argument'],
    [
      `net attach tcx_egress pinned ${P}/xdp dev lo`,
      234,
      'interface tcx_egress attach failed: Invalid argument',
    ],
    ['net detach tcx_egress dev lo', 254, 'interface tcx_egress detach failed: No such file or directory'],
    ['net show dev nosuchdev', 255, 'invalid devname nosuchdev'],
  ])('%s', async (line, code, error) => {
    const answer = await run(line);
    expect(answer.stderr.startsWith(`Error: ${error}\n`), answer.stderr).toBe(true);
    expect(answer.code).toBe(code);
  });
});

describe('skep perf, iter, struct_ops', () => {
  const { run, ok } = kernelWorld();

  it('lists what is there: nothing', async () => {
    expect([await ok('perf show'), await ok('-j perf show')]).toEqual(['', '[]\n']);
    expect([await ok('struct_ops show'), await ok('-j struct_ops show')]).toEqual(['', '[]\n']);
    expect([await ok('link show'), await ok('-j link show')]).toEqual(['', '[]\n']);
  });

  it.each([
    ['perf shwo', 255, 'Usage: skep perf'],
    ['iter pin examples/firewall.o /sys/fs/bpf/i', 234, 'Error: attach_iter failed for program firewall'],
    ['iter pin missing.o /sys/fs/bpf/i', 254, "Error: can't open objfile missing.o"],
    ['iter pin examples/firewall.o', 255, "Error: 'pin' needs at least 2 arguments, 1 found"],
    ['struct_ops unregister name nobody', 255, 'Error: no struct_ops found for nobody'],
    ['struct_ops register examples/firewall.o', 255, 'Error: no struct_ops found in examples/firewall.o'],
    [
      'struct_ops register test/loader/struct_ops.o',
      255,
      "Error: can't load objfile test/loader/struct_ops.o",
    ],
  ])('%s', async (line, code, error) => {
    const answer = await run(line);
    expect(answer.stderr.startsWith(error), answer.stderr).toBe(true);
    expect(answer.code).toBe(code);
    // What failed left nothing behind.
    expect(JSON.parse(await ok('-j map show')).length + JSON.parse(await ok('-j prog show')).length).toBe(0);
  });
});

describe('skep feature', () => {
  const { run, ok } = kernelWorld();

  it('probes the kernel, in text, in JSON and as macros', async () => {
    const found = JSON.parse(await ok('-j feature probe kernel'));
    expect(Object.keys(found)).toEqual([
      'system_config',
      'syscall_config',
      'program_types',
      'map_types',
      'helpers',
      'misc',
    ]);
    expect(found.program_types.have_xdp_prog_type).toBe(true);
    expect(found.map_types.have_ringbuf_map_type).toBe(true);
    expect(found.helpers.xdp_available_helpers).toContain('bpf_redirect_map');
    expect(found.helpers.xdp_available_helpers).not.toContain('bpf_trace_printk');
    expect(await ok('feature probe kernel')).toContain('eBPF program_type xdp is available\n');
    expect(await ok('feature probe kernel macros prefix MY_')).toContain('#define MY_HAVE_XDP_PROG_TYPE\n');
  });

  it('says that a device takes no programs', async () => {
    const found = JSON.parse(await ok('-j feature probe dev lo'));
    expect(Object.keys(found)[0]).toBe('syscall_config');
    expect(found.program_types).toEqual({ have_sched_cls_prog_type: false, have_xdp_prog_type: false });
  });

  it('lists what it knows', async () => {
    expect((await ok('feature list_builtins link_types')).split('\n')).toContain('netkit');
    expect(JSON.parse(await ok('-j feature list_builtins map_types'))).toContain('arena');
  });

  it.each([
    ['feature probe kernle', "got: 'kernle'?\ndid you mean 'kernel'?"],
    ['feature probe dev nosuchdev', "unrecognized netdevice 'nosuchdev': No such device"],
    ['feature probe kernel dev lo', 'component to probe already specified'],
    ['feature probe prefix X', "'prefix' argument can only be use after 'macros'"],
    ['feature list_builtins colours', 'failed to parse'],
  ])('%s', async (line, error) => {
    const { code, stderr } = await run(line);
    expect(code).toBe(255);
    if (error !== 'failed to parse') expect(stderr).toContain(error);
  });
});

describe('skep btf', () => {
  const { run, ok } = kernelWorld();

  it('shows and dumps what programs and maps brought', async () => {
    expect([await ok('btf show'), await ok('-j btf show')]).toEqual(['', '[]\n']);
    await ok(`prog load examples/syn_counter.o ${P}/syn`);
    const [{ id, prog_ids }] = JSON.parse(await ok('-j btf show'));
    expect(prog_ids).toHaveLength(1);
    expect(await ok(`btf show id ${id}`)).toContain(`${id}: name <anon>  size `);
    expect(await ok(`btf dump id ${id}`)).toBe(await ok(`btf dump prog pinned ${P}/syn`));
    expect(await ok('btf dump map name syn_counts value')).toMatch(/^\[\d+\] \w+ '/);
    const header = await ok(`btf dump prog pinned ${P}/syn format c`);
    expect(header).toContain('\t__be16 last_port;\n');
    expect(header.indexOf('struct syn_stats')).toBeLessThan(header.indexOf('struct xdp_md'));
    expect(header).toContain('/* BPF kfuncs */');
    expect(await ok('btf dump file examples/syn_counter.o format c unsorted')).toContain('struct xdp_md {');
  });

  it.each([
    [
      'btf dump file test/loader/iproute2.o',
      195,
      'Error: failed to load BTF from test/loader/iproute2.o: No data available',
    ],
    ['btf dump file missing.o', 254, 'Error: failed to load BTF from missing.o: No such file or directory'],
    ['btf dump id 4711', 254, "Error: can't get BTF object by id (4711): No such file or directory"],
    ['btf dump file examples/syn_counter.o format d', 234, "Error: unrecognized format specifier: 'd'"],
    ['btf dump file examples/syn_counter.o root_id 99999', 234, 'Error: invalid root ID: 99999'],
    [`btf dump map pinned ${P}/syn`, 255, 'Error: incorrect object type: prog'],
    ['btf dump', 255, "Error: 'dump' needs at least 2 arguments, 0 found"],
    ['-j btf dump file examples/syn_counter.o format c', 161, ''],
  ])('%s', async (line, code, error) => {
    const answer = await run(line);
    expect(answer.stderr.startsWith(error), answer.stderr).toBe(true);
    expect(answer.code).toBe(code);
  });
});

describe('what fails leaves nothing', () => {
  const { run, ok, kernel } = kernelWorld();

  it('unpins what a failed loadall pinned', async () => {
    await ok(`map create ${P}/taken type array key 4 value 4 entries 1 name taken`);
    const answer = await run(`prog loadall test/jit/callbacks.o ${P}/all pinmaps ${P}/taken`);
    expect(answer.code).toBe(255);
    expect(answer.stderr).toMatch(
      /^Error: can't mount BPF file system on given dir '\/sys\/fs\/bpf\/taken': .* it is no folder\n$/,
    );
    expect([...kernel.bpffs.pins()]).toEqual([`${P}/taken`]);
    expect(kernel.bpffs.list(`${P}/all`)).toMatchObject({ errno: 'ENOENT' });
    expect(JSON.parse(await ok('-j prog show'))).toEqual([]);
  });

  it('says of a pin of another kind and of a path that is no pin what they are', async () => {
    expect((await run(`prog show pinned ${P}/taken`)).stderr).toBe('Error: incorrect object type: map\n');
    expect((await run('map show pinned package.json')).stderr).toMatch(
      /^Error: bpf obj get \(package.json\): directory not in bpf file system \(bpffs\)\n/,
    );
    expect((await run('prgo show')).stderr).toContain('did you mean prog?');
    expect((await run('map shwo')).stderr).toContain("did you mean 'show'?");
    expect((await run('map create /sys/fs/bpf/x type hsah key 4 value 4 entries 1 name x')).stderr).toContain(
      "did you mean 'hash'?",
    );
  });
});
