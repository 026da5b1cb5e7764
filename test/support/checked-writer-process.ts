// checked-writer-process.ts: the writer of `twine-env chaos` as a process of its own, for a network namespace: it writes until
// its standard input ends, reads back all that was acknowledged, and prints what it saw as JSON.
//
//   node checked-writer-process.ts '{"routers":[{"host":"10.214.0.1","port":7005}],"password":"..."}'
import { CheckedWriter } from "../../infra/env/chaos/checked-writer.ts";
import type { Endpoint } from "../../infra/env/place-env.ts";

export interface WrittenReport {
  readonly acknowledged: number;
  readonly lost: number;
  readonly unread: number;
  readonly staleReads: number;
  readonly longestGapMs: number;
  readonly errors: Readonly<Record<string, number>>;
}

interface Given {
  readonly routers: readonly Endpoint[];
  readonly password?: string;
}

const given = JSON.parse(process.argv[2] ?? "{}") as Given;
const writer = new CheckedWriter({
  routers: given.routers,
  credentials:
    given.password === undefined ? undefined : { username: "app", password: given.password },
  isTls: false,
  prefix: `checked:${process.pid}`,
  durationMs: 600_000,
  answerWithinMs: 30_000,
});
writer.start();
process.stdin.resume();
await new Promise((resolve) => process.stdin.once("end", resolve));
await writer.stop();
const { longestGapMs, errors, staleReads } = writer.look();
const { acknowledged, lost, unread } = await writer.check();
const report: WrittenReport = { acknowledged, lost, unread, staleReads, longestGapMs, errors };
process.stdout.write(`${JSON.stringify(report)}\n`);
