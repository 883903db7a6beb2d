/**
 * Many clients at once on one kernel process, clients killed at random, the kernel process killed at random: no client may hang,
 * none may get a wrong answer, and in the end no process, socket or file is left.
 *
 *     npx tsx scripts/storm-cli.ts [SECONDS] [CLIENTS] [--cli FILE]      (60 seconds, 50 clients)
 *
 * Prints `figure storm_commands`, `storm_wrong`, `storm_hung`, `storm_left`, `storm_refused_other_user`; exit code 1 when something
 * was wrong, hung or left.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundleCli } from './bundle-cli.ts';
import { Storm } from './storm-cli-run.ts';

const args = process.argv.slice(2);
const at = args.indexOf('--cli');
const given = at < 0 ? undefined : args.splice(at, 2)[1];
const seconds = Number(args[0] ?? 60);
const clients = Number(args[1] ?? 50);

const work = mkdtempSync(join(tmpdir(), 'skep-storm-'));
try {
  const storm = new Storm(given ?? bundleCli(work), join(work, 'run'));
  const otherUser = storm.otherUser();
  const result = await storm.run(seconds, clients);
  console.log(
    `${result.commands} commands of ${clients} clients in ${seconds} s; ${result.clientsKilled} clients and ${result.kernelsKilled} kernel processes killed`,
  );
  for (const line of result.wrong.slice(0, 10)) console.log(`  wrong: ${line}`);
  for (const line of result.left) console.log(`  left: ${line}`);
  console.log(`figure storm_commands ${result.commands}`);
  console.log(`figure storm_wrong ${result.wrong.length}`);
  console.log(`figure storm_hung ${result.hung}`);
  console.log(`figure storm_left ${result.left.length}`);
  if (otherUser === undefined) console.log('another user was not tried: this needs root');
  else console.log(`figure storm_refused_other_user ${otherUser ? 1 : 0}`);
  if (
    result.wrong.length + result.hung + result.left.length > 0 ||
    result.commands === 0 ||
    otherUser === false
  ) {
    process.exitCode = 1;
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
