// register.ts: how long a choice takes: beat() and write() on three local status nodes, durable as the plan makes them,
// beside one SET on one of them, which is one fsync and one round trip. Run: node bench/register.ts [ROUNDS]
import { parseConf } from "../runtime/core/conf/parse.ts";
import { systemClock } from "../runtime/ports/clock.ts";
import { systemRandom } from "../runtime/ports/random.ts";
import { openRedisLink } from "../runtime/ports/redis-link.ts";
import { openAcceptors } from "../runtime/register/acceptors.ts";
import { createProposer } from "../runtime/register/proposer.ts";
import { DURABLE } from "../test/support/durable.ts";
import { startRedis } from "../test/support/redis-server.ts";

const ROUNDS = Number(process.argv[2] ?? 2000);
/** The view of a cluster of about a hundred nodes. */
const BODY = "x".repeat(30_000);

const cleanUps: (() => Promise<void>)[] = [];
const servers = await Promise.all(
  [1, 2, 3].map(() => startRedis(DURABLE, (task) => cleanUps.push(task))),
);
try {
  const lines = servers.map(({ port }, index) => `s${index + 1}=status localhost ${port} 0`);
  const { config } = parseConf(["a1=data 0 9 0", ...lines].join("\n"), "twine.conf");
  const [first] = servers;
  if (config === undefined || first === undefined) throw new Error("the bench's own conf is wrong");
  const ports = { config, password: undefined, clock: systemClock, openLink: openRedisLink };
  const opened = openAcceptors(ports, () => undefined);
  const { acceptors } = opened;
  const { cluster } = config.settings;
  const proposer = createProposer({ name: "m1", cluster, acceptors, random: systemRandom });
  await proposer.prepare();
  await proposer.write({ body: BODY, epoch: 1, revision: 0 });
  const link = await first.link();
  const row = async (name: string, round: (index: number) => Promise<unknown>): Promise<void> => {
    const tookMs: number[] = [];
    for (let index = 1; index <= ROUNDS; index++) {
      const startMs = performance.now();
      await round(index);
      tookMs.push(performance.now() - startMs);
    }
    tookMs.sort((a, b) => a - b);
    const at = (share: number): string => (tookMs[Math.floor(share * ROUNDS)] ?? 0).toFixed(2);
    process.stdout.write(`${name.padEnd(28)} median ${at(0.5)} ms  p99 ${at(0.99)} ms\n`);
  };
  const chosen = async (choice: Promise<{ kind: string }>): Promise<void> => {
    const { kind } = await choice;
    if (kind !== "chosen") throw new Error(`a round ended in ${kind}`);
  };
  await row("beat()", () => chosen(proposer.beat()));
  await row("write() of 30,000 bytes", (index) =>
    chosen(proposer.write({ body: BODY, epoch: 1, revision: index })),
  );
  await row("one SET on one status node", (index) => link.call("SET", "bench", index));
  opened.close();
} finally {
  await Promise.all(cleanUps.map((cleanUp) => cleanUp()));
}
