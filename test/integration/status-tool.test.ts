// twine-status itself, against three real redis-servers that hold a view written by a real proposer.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import { readFileSync } from "node:fs";
import { expect, onTestFinished, test } from "vitest";
import { builtinHashing } from "../../runtime/core/hashing.ts";
import { parseConf } from "../../runtime/core/conf/parse.ts";
import type { ClusterConfig } from "../../runtime/core/cluster.ts";
import { STAMP_KEY } from "../../runtime/core/register-keys.ts";
import type { View } from "../../runtime/core/view.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import { systemRandom } from "../../runtime/ports/random.ts";
import { openRedisLink } from "../../runtime/ports/redis-link.ts";
import { openAcceptors } from "../../runtime/register/acceptors.ts";
import { createProposer } from "../../runtime/register/proposer.ts";
import { binPath } from "../support/bins.ts";
import { runCommand, type Ran } from "../support/run-tool.ts";
import { startRedis, type TestRedis } from "../support/redis-server.ts";
import { ROOT } from "../support/source-files.ts";
import { exampleView, NEEDS, withDead } from "../unit/status/example-reports.ts";

interface Fixture {
  readonly statusNodes: readonly TestRedis[];
  /** Writes the text as the register's value and keeps renewing the lease until `rest` is called. */
  readonly publish: (body: string) => Promise<void>;
  /** The alpha falls silent. */
  readonly rest: () => Promise<void>;
  readonly status: (...args: string[]) => Promise<Ran>;
  /** `twine-status ARGS > FILE`. */
  readonly statusInto: (file: string, ...args: string[]) => Promise<Ran>;
}

/** Data nodes, monitors and the router stand in the conf only: the tool never speaks to them. */
async function fixture(lease: string): Promise<Fixture> {
  const durable = ["appendonly yes", "appendfsync always"];
  const statusNodes = [
    await startRedis(durable),
    await startRedis(durable),
    await startRedis(durable),
  ];
  const folder = await mkdtemp(join(tmpdir(), "twine-status-"));
  const others = exampleView().nodes.filter((node) => node.kind !== "status");
  const lines = [
    ...others.map(({ name, kind, host, port, partition }) =>
      kind === "data"
        ? `${name}=data ${partition ?? 0} ${host} ${port} 0`
        : `${name}=${kind} ${host} ${port}`,
    ),
    ...statusNodes.map(({ port }, at) => `s${at + 1}=status localhost ${port} 0`),
    "cluster twine",
    `lease ${lease}`,
    "down-after 5s",
  ];
  const conf = join(folder, "twine.conf");
  await writeFile(conf, `${lines.join("\n")}\n`);
  const parsed = parseConf(lines.join("\n"), conf);
  const alpha = alphaOf(parsed.config ?? expect.fail(JSON.stringify(parsed.errors)));
  onTestFinished(async () => {
    await alpha.rest();
    await rm(folder, { recursive: true, force: true });
  });
  const bin = binPath("twine-status", "runtime");
  return {
    statusNodes,
    publish: alpha.publish,
    rest: alpha.rest,
    status: (...args) => runCommand(process.execPath, [bin, ...args], { cwd: folder }),
    statusInto: (file, ...args) => {
      const script = 'out=$1; shift; exec "$@" > "$out"';
      const command = [process.execPath, bin, ...args];
      return runCommand("sh", ["-c", script, "sh", file, ...command], { cwd: folder });
    },
  };
}

function alphaOf(config: ClusterConfig): Pick<Fixture, "publish" | "rest"> {
  let isAwake = true;
  let beating = Promise.resolve();
  const opened = openAcceptors({
    config,
    password: undefined,
    clock: systemClock,
    openLink: openRedisLink,
  });
  const proposer = createProposer({
    name: "m1",
    cluster: config.settings.cluster,
    acceptors: opened.acceptors,
    random: systemRandom,
    clock: systemClock,
  });
  const beat = async (): Promise<void> => {
    while (isAwake) {
      // On a machine with much to do a beat may miss its majority; the promise is then to be had anew.
      if ((await proposer.beat()).kind !== "chosen") await proposer.prepare();
      await systemClock.delay(20);
    }
  };
  return {
    publish: async (body) => {
      expect(await proposer.prepare()).toMatchObject({ kind: "prepared" });
      const chosen = await proposer.write({ body, epoch: 3, revision: 17 });
      expect(chosen).toMatchObject({ kind: "chosen" });
      beating = beat();
    },
    rest: async () => {
      isAwake = false;
      await beating;
      opened.close();
    },
  };
}

const text = (view: View): string => JSON.stringify(view);

test("a cluster that is OK is told in every format, each with exit code 0", async () => {
  const { publish, status } = await fixture("5s");
  await publish(text(exampleView()));
  const [summary, list, xml, html, json, flag] = await Promise.all([
    status(),
    status("list"),
    status("xml"),
    status("html"),
    status("json"),
    status("--json"),
  ]);
  for (const ran of [summary, list, xml, html, json, flag]) {
    expect(ran).toMatchObject({ code: 0, stderr: "" });
  }
  expect(summary.stdout).toContain("twine  OK  epoch 3, revision 17, alpha m1");
  expect(summary.stdout).toContain("Nothing is wrong.");
  expect(list.stdout.trimEnd().split("\n")).toHaveLength(15);
  expect(xml.stdout).toContain('state="OK" epoch="3" revision="17" alpha="m1" alphaAlive="true"');
  expect(html.stdout).toMatch(/<strong>OK<\/strong>[^]*<\/html>\n$/);
  const schema = JSON.parse(readFileSync(join(ROOT, "docs/status.schema.json"), "utf8")) as object;
  const validate = new Ajv2020({ allowUnionTypes: true }).compile(schema);
  for (const { stdout } of [json, flag]) {
    const document = JSON.parse(stdout) as object;
    validate(document);
    expect(validate.errors).toBeNull();
    expect(document).toMatchObject({
      state: "OK",
      alphaAlive: true,
      register: { statusNodes: 3, confirmations: 3, answered: ["s1", "s2", "s3"], silent: [] },
    });
  }
});

test("DEGRADED ends with 10 and HALT with 20, with what the partition needs", async () => {
  const degraded = await fixture("5s");
  await degraded.publish(text(withDead(exampleView(), "a6668")));
  const ten = await degraded.status();
  expect(ten).toMatchObject({ code: 10, stderr: "" });
  expect(ten.stdout).toContain("a6668  data node of partition 0 at localhost:6668 is dead");

  const halted = await fixture("5s");
  const view = withDead(exampleView(), "b7666", "b7667", "b7668");
  const partitions = view.partitions.map((partition) =>
    partition.master === null ? { ...partition, needs: NEEDS } : partition,
  );
  await halted.publish(text({ ...view, partitions }));
  const twenty = await halted.status("json");
  expect(twenty).toMatchObject({ code: 20, stderr: "" });
  expect(JSON.parse(twenty.stdout)).toMatchObject({ state: "HALT" });
  expect(twenty.stdout).toContain(JSON.stringify(NEEDS));
});

test("a view whose alpha has fallen silent is not OK, whatever it says", async () => {
  const { publish, rest, status } = await fixture("500ms");
  await publish(text(exampleView()));
  await rest();
  const ran = await status();
  expect(ran).toMatchObject({ code: 10, stderr: "" });
  expect(ran.stdout).toContain("alpha  m1 does not renew its lease");
});

test("one dead status node of three degrades, and the others tell the rest", async () => {
  const { statusNodes, publish, status } = await fixture("5s");
  await publish(text(exampleView()));
  await statusNodes[1]?.kill();
  const ran = await status();
  expect(ran).toMatchObject({ code: 10, stderr: "" });
  expect(ran.stdout).toMatch(/ {2}s2 {2}status node at localhost:\d+ does not answer:/);
  expect(ran.stdout).toContain("remedy: twine-start localhost");
});

test("two emptied status nodes of three are HALT with the way out, not a view that says OK", async () => {
  const { statusNodes, publish, rest, status } = await fixture("500ms");
  await publish(text(exampleView()));
  expect(await status()).toMatchObject({ code: 0 });
  await rest();
  for (const node of statusNodes.slice(1)) await (await node.link()).call("FLUSHALL");
  const ran = await status();
  expect(ran).toMatchObject({ code: 20, stderr: "" });
  expect(ran.stdout).toContain("twine  HALT");
  expect(ran.stdout).toContain("alpha  no monitor can become alpha: s2, s3 lost their data");
  expect(ran.stdout).toMatch(/remedy: twine-stop on every host; empty the data folders of all/);
});

test("another cluster's status node counts for nothing", async () => {
  const { statusNodes, status } = await fixture("500ms");
  for (const node of statusNodes.slice(1)) {
    const link = await node.link();
    await link.call("SET", STAMP_KEY, "other");
  }
  const ran = await status();
  expect(ran).toMatchObject({ code: 1, stdout: "" });
  expect(ran.stderr).toContain('  s3 belongs to cluster "other", not to "twine"');
});

test("a status node that hangs is silent, and a minority alone proves nothing", async () => {
  const { statusNodes, publish, status } = await fixture("5s");
  await publish(text(exampleView()));
  statusNodes[0]?.signal("SIGSTOP");
  const ten = await status("json");
  expect(ten.code).toBe(10);
  expect(JSON.parse(ten.stdout)).toMatchObject({
    alphaAlive: true,
    register: { answered: ["s2", "s3"], silent: [{ name: "s1" }] },
  });
  await statusNodes[1]?.kill();
  const one = await status();
  expect(one).toMatchObject({ code: 1, stdout: "" });
  expect(one.stderr).toContain(
    "1 of 3 status nodes answered; at least 2 must answer before the state can be reported",
  );
  expect(one.stderr).toContain("  s1 does not answer: ");
  expect(one.stderr).toContain("  s2 does not answer: ");
  expect(one.stderr).toContain("remedy: twine-start localhost");
});

test("no status node at all is exit code 1, in JSON where JSON was asked for", async () => {
  const { statusNodes, status } = await fixture("500ms");
  for (const node of statusNodes) await node.kill();
  const plain = await status("list");
  expect(plain).toMatchObject({ code: 1, stdout: "" });
  expect(plain.stderr).toContain("0 of 3 status nodes answer");
  expect(plain.stderr).not.toContain("    at ");
  const json = await status("--json");
  expect(json.code).toBe(1);
  expect(JSON.parse(json.stderr)).toMatchObject({ errors: [{ code: "STATUS_UNREACHABLE" }] });
});

test("status nodes without a view are a cluster in HALT that says how to begin", async () => {
  const { status } = await fixture("500ms");
  const ran = await status();
  expect(ran).toMatchObject({ code: 20, stderr: "" });
  expect(ran.stdout).toContain("view  has not been published yet: no monitor has become alpha");
});

test("a twine.conf that hashes otherwise than the keys lie is the first thing told", async () => {
  const { publish, status } = await fixture("5s");
  const hash = { kind: "builtin", name: "crc16" } as const;
  const hashing = builtinHashing({ hash, partitions: 3, hashTag: "{}" });
  await publish(text({ ...exampleView(), hashing }));
  const ran = await status();
  expect(ran).toMatchObject({ code: 0, stderr: "" });
  expect(ran.stdout).toMatch(/\n\n {2}twine\.conf {2}sends keys to other partitions/);
  expect(ran.stdout).toContain(
    "remedy: write in twine.conf again: partitions 3, hash crc16, hash-tag {}",
  );
});

test("a published view that can't be read is one sentence, not a stack", async () => {
  const { publish, status } = await fixture("5s");
  await publish('{"cluster":"twine"}');
  const ran = await status();
  expect(ran).toMatchObject({ code: 1, stdout: "" });
  expect(ran.stderr).toContain("the view on it can't be read: state is missing");
  expect(ran.stderr).not.toContain("    at ");
});

test.skipIf(process.platform !== "linux")(
  "a page that a full disk swallows is one error with its remedy, not a stack",
  async () => {
    const { publish, statusInto } = await fixture("500ms");
    await publish(JSON.stringify(exampleView()));
    const { code, stderr } = await statusInto("/dev/full", "list");
    expect(stderr).toMatch(/^error: .*ENOSPC.*\n {2}remedy: free some space[^\n]*\n$/);
    expect(code).toBe(1);
  },
);

test("an unknown format is a usage error that says what was probably meant", async () => {
  const { status } = await fixture("500ms");
  const wrong = await status("jsno");
  expect(wrong).toMatchObject({ code: 2, stdout: "" });
  expect(wrong.stderr).toContain("there is no format jsno; did you mean json?");
  expect((await status("xml", "--json")).code).toBe(2);
  expect((await status("list", "more")).code).toBe(2);
  const bogus = await status("--bogus");
  expect(bogus.stderr).toBe("error: unknown option '--bogus'\n  remedy: see --help\n");
  const forPrograms = await status("--bogus", "--json");
  expect([forPrograms.code, JSON.parse(forPrograms.stderr)]).toEqual([
    2,
    { errors: [{ code: "USAGE", message: "unknown option '--bogus'", remedy: "see --help" }] },
  ]);
});

test("a page of many partitions comes whole through a pipe", async () => {
  const { publish, status } = await fixture("5s");
  // One node is that of twine.conf, or it would be another cluster's view.
  await publish(text(exampleView(1024, 2)).replaceAll('"n0-0"', '"a6666"'));
  const ran = await status("html");
  expect(ran.stdout.length).toBeGreaterThan(500_000);
  expect(ran.stdout).toMatch(/<\/html>\n$/);
});
