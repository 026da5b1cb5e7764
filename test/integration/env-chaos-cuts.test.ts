// env-chaos-cuts.test.ts: twine-env chaos cuts nodes off, in a network namespace of its own: promises kept, and no rule left
// however it ends.
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { ChaosReport } from "../../infra/env/chaos/report-page.ts";
import { chaosSchedule, type Fault } from "../../infra/env/chaos/schedule.ts";
import { seededRandom } from "../../runtime/ports/seeded-random.ts";
import { configOf } from "../golden/render-cases.ts";
import { binPath } from "../support/bins.ts";
import { until } from "../support/redis-server.ts";
import { runCommand, type Ran } from "../support/run-tool.ts";

const BIN = binPath("twine-env", "infra");
const CONF = [
  "a1=data 0 db1 6666 0",
  "a2=data 0 db2 6666 0",
  "s1=status db1 6401 0",
  "m1=monitor db2 7601",
  "r1=router db2 6400",
  "ack-replicas 1",
  "redis appendonly yes",
].join("\n");

const canCut = spawnSync("unshare", ["--net", "nft", "list", "tables"]).status === 0;

/** The first seed whose faults on CONF begin so. */
function seedWhere(isWanted: (faults: readonly Fault[]) => boolean): string {
  for (let seed = 1; ; seed++) {
    const faults = chaosSchedule(configOf(CONF), seededRandom(seed), 60_000, { hasCuts: true });
    if (isWanted(faults)) return String(seed);
  }
}

function isCut(fault: Fault | undefined, from: "all" | "nodes", way = "both"): boolean {
  return fault?.kind === "cut" && fault.cut.from === from && fault.cut.way === way;
}

describe.skipIf(!canCut)("cuts of an environment in a network namespace of its own", () => {
  let folder = "";
  let space: ChildProcess;
  let env: NodeJS.ProcessEnv = {};

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "twine-cuts-"));
    env = { ...process.env, TWINE_ENVS: join(folder, "envs") };
    await writeFile(join(folder, "twine.conf"), CONF);
    const hold = "ip link set lo up && echo up && read -r _";
    space = spawn("unshare", ["--net", "sh", "-c", hold], { stdio: ["pipe", "pipe", "inherit"] });
    if (space.stdout !== null) await once(space.stdout, "data");
    const { code, stderr } = await inside(process.execPath, BIN, "up", "cuts", "--wait", "120s");
    expect(code, stderr).toBe(0);
  }, 150_000);

  afterAll(async () => {
    await inside(process.execPath, BIN, "down", "cuts");
    const exited = once(space, "exit");
    space.stdin?.end();
    await exited;
    await rm(folder, { recursive: true, force: true });
  });

  function entering(words: readonly string[]): string[] {
    return [`--net=/proc/${space.pid ?? 0}/ns/net`, "--", ...words];
  }

  function inside(...words: string[]): Promise<Ran> {
    return runCommand("nsenter", entering(words), { cwd: folder, env });
  }

  async function rules(): Promise<string> {
    return (await inside("nft", "list", "ruleset")).stdout.trim();
  }

  test("a master cut off both ways, from all and from the nodes alone: named in the report, all promises kept", async () => {
    const seed = seedWhere(
      ([first, second]) =>
        isCut(first, "nodes") &&
        isCut(second, "all") &&
        first?.target.kind === "master" &&
        second?.target.kind === "master" &&
        first.forMs > 3500,
    );
    const args = [BIN, "chaos", "cuts", "--minutes", "0.3", "--seed", seed];
    const { code, stdout } = await inside(process.execPath, ...args);
    const text = await readFile(join(folder, "chaos-cuts/report.json"), "utf8");
    const report = JSON.parse(text) as ChaosReport;
    expect(report.faults[0]).toMatchObject({
      kind: "cut",
      cut: { from: "nodes", way: "both" },
      wasMaster: true,
    });
    // The other node became master meanwhile.
    expect(report.faults[1]).toMatchObject({ kind: "cut", cut: { from: "all" }, wasMaster: true });
    expect(report.faults[1]?.node).not.toBe(report.faults[0]?.node);
    expect(report).toMatchObject({ lost: 0, staleReads: 0, unread: 0, brokenOff: null });
    expect(report.verdicts.filter(({ kept }) => kept !== true)).toEqual([]);
    expect(code, stdout).toBe(0);
    expect(stdout).not.toContain("no node is cut off");
    const page = await readFile(join(folder, "chaos-cuts/report.html"), "utf8");
    expect(page).toMatch(/cut master a\d off from data nodes, status nodes and monitors for/);
    expect(await rules()).toBe("");
  });

  test("kill -9 in the middle of a cut leaves no rule, and Ctrl-C neither", async () => {
    const seed = seedWhere(([first]) => isCut(first, "all") && (first?.forMs ?? 0) > 3000);
    for (const signal of ["SIGKILL", "SIGINT"] as const) {
      const args = [process.execPath, BIN, "chaos", "cuts", "--minutes", "1", "--seed", seed];
      // nsenter becomes the program: its pid is chaos's own.
      const child = spawn("nsenter", entering(args), {
        cwd: folder,
        env,
        stdio: ["ignore", "ignore", "pipe"],
      });
      onTestFinished(() => {
        child.kill("SIGKILL");
      });
      // Before it there was a trial.
      await once(child.stderr, "data");
      await until("a node is cut off", async () => (await rules()).includes("drop"), 60_000);
      expect(await rules()).toContain("twine_cut_127_");
      child.kill(signal);
      await once(child, "exit");
      await until("no rule is left", async () => (await rules()) === "", 30_000);
    }
  });

  test("where no rule may be made nodes are killed and paused alone, and the report says why", async () => {
    const bare = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"];
    const args = [process.execPath, BIN, "chaos", "cuts", "--minutes", "0.02", "--seed", "7"];
    const { stdout } = await inside(...bare, ...args);
    expect(stdout).toMatch(
      /left alone: the network, no node is cut off: nft made no rule: .*permitted/,
    );
    const given = await inside(process.execPath, ...args.slice(1), "--no-cuts");
    expect(given.stdout).toContain("no node is cut off: left out by --no-cuts");
  });
});
