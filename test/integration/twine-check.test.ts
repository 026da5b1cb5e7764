// The six test cases of the seed, on twemproxy with Sentinel and on Twine's own router and monitors: the same tool, the same
// words, and not an item lost.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, test } from "vitest";
import { binPath } from "../support/bins.ts";
import { localFolder, type LocalFolder } from "../support/local-folder.ts";
import { isMissing } from "../support/programs.ts";
import { runCommand, type Ran } from "../support/run-tool.ts";

const DATA = `
a1=data 0 {a1} 0
a2=data 0 {a2} 0
a3=data 0 {a3} 0
b1=data 1 {b1} 0
b2=data 1 {b2} 0
b3=data 1 {b3} 0
down-after 500ms
`;
const STACKS = {
  "twemproxy and Sentinel": `${DATA}watch=monitor {watch}
r1=router {r1} {stats}
cluster other
router twemproxy
failover sentinel
`,
  "Twine's router and monitors": `${DATA}s1=status {s1}
m1=monitor {watch}
r1=router {r1}
cluster own
`,
};

/** Interrupted by SIGINT as soon as its output has that text. */
async function interruptedAt(local: LocalFolder, text: string): Promise<Ran> {
  const args = [binPath("twine-check", "infra"), "--yes"];
  const child = spawn(process.execPath, args, { cwd: local.folder });
  let [stdout, stderr] = ["", ""];
  child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
  child.stdout.on("data", (data: Buffer) => {
    const before = stdout;
    stdout += data.toString();
    if (stdout.includes(text) && !before.includes(text)) child.kill("SIGINT");
  });
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout, stderr };
}

function check(local: LocalFolder, ...args: string[]): Promise<Ran> {
  return runCommand(process.execPath, [binPath("twine-check", "infra"), ...args], {
    cwd: local.folder,
  });
}

describe.skipIf(isMissing("redis-server", "nutcracker")).each(Object.entries(STACKS))(
  "%s",
  (stack, conf) => {
    test("six cases, and --load, --verify and --status beside them", async () => {
      const local = await localFolder(conf);
      const asked = await check(local);
      expect(asked.code).toBe(2);
      expect(asked.stderr).toMatch(/nobody can be asked here.*add --yes/s);
      const ran = await check(local, "--yes");
      expect(ran.code, ran.stdout + ran.stderr).toBe(0);
      const place = String.raw`127\.0\.0\.1 \d+`;
      const ok = String.raw`Redis OK \(1000 items all existed\)\n`;
      const both = `New master of shard 1 is ${place}\nNew master of shard 2 is ${place}\n${ok}`;
      const four = Array<string>(4).fill(place).join(", ");
      expect(ran.stdout).toMatch(
        new RegExp(
          [
            "^Start the stack\nData loaded\n",
            `Test case 1 : test if data loaded correctly:\n${ok}`,
            `Test case 2 : kill the master node of shard 1 \\(${place}\\): \\.*\nNew master is ${place}\n${ok}`,
            `Test case 3 : kill the master node of shard 2 \\(${place}\\): \\.*\nNew master is ${place}\n${ok}`,
            `Test case 4 : kill the master nodes of shard 1 & 2 \\(${place}, ${place}\\): \\.*\n${both}`,
            `Test case 5 : kill all instances but one of each shard \\(${four}\\): \\.*\n${both}`,
            "Test case 6 : check sharding is working \\(key only appear in one shard\\)\nOK\n",
            "Remove test data\n",
            "Writes were taken again after: case 2 [\\d.]+ s, case 3 [\\d.]+ s, case 4 [\\d.]+ s, case 5 [\\d.]+ s\n$",
          ].join("\n"),
        ),
      );

      const title = stack.includes("Sentinel") ? "Redis sentinel" : "Twine monitor";
      const status = await check(local, "--status");
      expect(status.code, status.stdout).toBe(0);
      const line = `\t${place} : YES\n`;
      expect(status.stdout).toMatch(
        new RegExp(
          `^${title} running :\n${line}\\d+ port running :\n${line}` +
            `Shard 1 master running :\n${line}Shard 1 slaves running :\n${line}${line}` +
            `Shard 2 master running :\n${line}Shard 2 slaves running :\n${line}${line}$`,
        ),
      );
      const nothing = await check(local, "--verify");
      expect([nothing.code, nothing.stdout]).toEqual([
        3,
        "Redis NOT OK (0 of 1000 items existed)\n",
      ]);
      expect((await check(local, "--load")).stdout).toBe("Data loaded\n");
      const all = await check(local, "--verify");
      expect([all.code, all.stdout]).toEqual([0, "Redis OK (1000 items all existed)\n"]);

      const stopped = await interruptedAt(local, "Test case 2");
      expect([stopped.code, stopped.stderr]).toEqual([
        130,
        expect.stringContaining("interrupted: what was killed is started again"),
      ]);
      expect((await check(local, "--status")).code).toBe(0);
      expect((await check(local, "--verify")).stdout).toContain("(0 of 1000 items existed)");

      process.kill(await local.pid("a2"), "SIGKILL");
      const lost = await check(local, "--status", "--json");
      expect(lost.code).toBe(3);
      expect(lost.stdout).toContain(`{"place":"127.0.0.1 ${local.port("a2")}","isRunning":false}`);
      await local.stop({ only: undefined });
    }, 400_000);
  },
);
