// chaos.test.ts: the faults that a seed chooses, and what is made of a run's figures.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { judge, type ChaosMeasure, type FaultReport } from "../../../infra/env/chaos/promises.ts";
import {
  chaosLines,
  faultText,
  isKept,
  renderChaosPage,
  type ChaosReport,
} from "../../../infra/env/chaos/report-page.ts";
import { cutTable } from "../../../infra/env/chaos/cut-rules.ts";
import { chaosSchedule, faultTargets, type Cut } from "../../../infra/env/chaos/schedule.ts";
import { placeEnv } from "../../../infra/env/place-env.ts";
import { sourceAddresses } from "../../../infra/env/source-address.ts";
import { seededRandom } from "../../../runtime/ports/seeded-random.ts";
import { configOf } from "../../golden/render-cases.ts";
import { ROOT } from "../../support/source-files.ts";

const CUTS = { hasCuts: true };
const NODES = [
  "a1=data 0 db1 6666 0",
  "a2=data 0 db2 6666 0",
  "b1=data 1 db1 6667 0",
  ...[1, 2, 3].flatMap((n) => [`s${n}=status db${n} 6401 0`, `m${n}=monitor db${n} 7601`]),
  "r1=router db1 6400",
];

function conf(...lines: string[]) {
  return configOf([...NODES, ...lines].join("\n"));
}

const QUIET: ChaosMeasure = {
  faults: [],
  acknowledged: 100,
  lost: 0,
  staleReads: 0,
  unread: 0,
  errors: {},
  longestGapMs: 20,
};

function fault(change: Partial<FaultReport>): FaultReport {
  return {
    kind: "kill",
    node: "a1",
    nodeKind: "data",
    wasMaster: true,
    atMs: 1000,
    forMs: 500,
    okAfterMs: 300,
    longestGapMs: 250,
    errors: {},
    ...change,
  };
}

function verdicts(config: ReturnType<typeof conf>, change: Partial<ChaosMeasure>) {
  const found = judge(config, { ...QUIET, ...change });
  return Object.fromEntries(found.map(({ name, kept }) => [name, kept]));
}

describe("the schedule", () => {
  test("is the same for one seed, another for another, and takes as long as was asked", () => {
    const of = (seed: number) => chaosSchedule(conf(), seededRandom(seed), 60_000, CUTS);
    expect(of(7)).toEqual(of(7));
    expect(of(7)).not.toEqual(of(8));
    const faults = of(7);
    const takenMs = faults.reduce((sum, { forMs, restMs }) => sum + forMs + restMs, 0);
    expect(takenMs).toBeGreaterThanOrEqual(60_000);
    const last = faults.at(-1);
    expect(takenMs - (last?.forMs ?? 0) - (last?.restMs ?? 0)).toBeLessThan(60_000);
    expect(new Set(faults.map(({ kind }) => kind))).toEqual(new Set(["kill", "pause", "cut"]));
  });

  test("cuts are of all ways and from all and nodes alone; without them a seed's kills and pauses stay the same", () => {
    const of = (hasCuts: boolean) => chaosSchedule(conf(), seededRandom(7), 1_200_000, { hasCuts });
    const [all, alone] = [of(true), of(false)];
    const cuts = all.flatMap((one) =>
      one.kind === "cut" ? [`${one.cut.from} ${one.cut.way}`] : [],
    );
    const kinds = ["all", "nodes"].flatMap((from) =>
      ["both", "sends", "receives"].map((way) => `${from} ${way}`),
    );
    expect(new Set(cuts)).toEqual(new Set(kinds));
    const others = all.filter(({ kind }) => kind !== "cut");
    expect(alone.slice(0, others.length)).toEqual(others);
    expect(alone.length).toBeGreaterThan(others.length);
  });

  test("leaves alone what the cluster can't lose one of", () => {
    const { targets, leftAlone } = faultTargets(conf());
    const names = targets.map((one) => (one.kind === "node" ? one.node : `of ${one.partition}`));
    expect(new Set(names)).toEqual(
      new Set(["a1", "a2", "of 0", "s1", "s2", "s3", "m1", "m2", "m3"]),
    );
    expect(leftAlone).toEqual([
      "the data node of partition 1: it has no replica",
      "the router: its clients have no other",
    ]);
    const bare = configOf("a1=data 0 db1 6666 0\ns1=status db1 6401 0\nm1=monitor db1 7601");
    expect(chaosSchedule(bare, seededRandom(1), 60_000, CUTS)).toEqual([]);
  });
});

describe("the rules of a cut", () => {
  const config = placeEnv(conf(), { name: "ci", block: "127.77.3", folder: "/" });
  const sources = sourceAddresses(config) ?? {};
  const node = config.nodes[0];
  const rulesOf = (cut: Cut): string[] =>
    node === undefined ? [] : cutTable(config, sources, node, cut).split("; add ");

  test("name the environment's addresses alone, in a table that its owner takes along", () => {
    const both = rulesOf({ from: "all", way: "both" });
    expect(both[0]).toBe("add table ip twine_cut_127_77_3 { flags owner; }");
    const drops = both.filter((rule) => rule.endsWith(" drop"));
    expect(drops).toEqual(
      [
        "ip saddr 127.77.3.254 drop",
        "ip saddr 127.77.3.1 tcp sport { 6666 } drop",
        "ip daddr 127.77.3.254 drop",
        "ip daddr 127.77.3.1 tcp dport { 6666 } drop",
      ].map((rule) => `rule ip twine_cut_127_77_3 arriving ${rule}`),
    );
    expect(both.join().match(/\b\d+\.\d+\.\d+\.\d+\b/g)).toSatisfy((found: string[]) =>
      found.every((address) => address.startsWith("127.77.3.")),
    );
  });

  test("from the nodes alone: no router's address is in them; one way is half of both", () => {
    const nodes = rulesOf({ from: "nodes", way: "both" }).join("\n");
    expect(nodes).toContain(sources["m3"]);
    expect(nodes).not.toContain(sources["r1"]);
    expect(nodes).not.toContain("6400");
    const [both, sends, receives] = (["both", "sends", "receives"] as const).map((way) =>
      rulesOf({ from: "nodes", way }).filter((rule) => rule.endsWith(" drop")),
    );
    expect([...(sends ?? []), ...(receives ?? [])]).toEqual(both);
  });

  test("an environment with more hosts and nodes than addresses has no addresses of nodes", () => {
    const many = Array.from({ length: 254 }, (_, n) => `a${n}=data 0 db1 ${7000 + n} 0`);
    const wide = configOf([...many, "s1=status db1 6401 0", "m1=monitor db1 7601"].join("\n"));
    expect(sourceAddresses(wide)).toBeUndefined();
    expect(new Set(Object.values(sources)).size).toBe(config.nodes.length);
  });
});

describe("the verdicts", () => {
  const safe = conf("ack-replicas 0");
  const [a, b] = [conf(), conf("redis maxmemory-policy allkeys-lru")];

  test("a lost write breaks ack-replicas 1; without it, or with eviction, nothing was promised", () => {
    const acked = (config: typeof safe) => ({
      ...config,
      settings: { ...config.settings, ackReplicas: 1 },
    });
    expect(verdicts(acked(a), { lost: 1 })["lost"]).toBe(false);
    expect(verdicts(acked(a), { unread: 1 })["lost"]).toBe(false);
    expect(verdicts(acked(a), {})["lost"]).toBe(true);
    expect(verdicts(safe, { lost: 1 })["lost"]).toBeNull();
    expect(verdicts(acked(b), { lost: 1 })["lost"]).toBeNull();
    expect(verdicts(acked(a), { staleReads: 1 })["stale"]).toBe(false);
    expect(verdicts(safe, { staleReads: 1 })["stale"]).toBeNull();
  });

  test("errors: outcomes that the client is told of are allowed, lost connections only by a router's fault", () => {
    const allowed = { UNCERTAIN: 3, UNDERREPLICATED: 1 };
    expect(verdicts(a, { errors: allowed })["errors"]).toBe(true);
    expect(verdicts(a, { errors: { ...allowed, ERR: 1 } })["errors"]).toBe(false);
    const errors = { connection: 2 };
    expect(verdicts(a, { errors, faults: [fault({ errors })] })["errors"]).toBe(false);
    const router = fault({ node: "r1", nodeKind: "router", errors });
    expect(verdicts(a, { errors, faults: [router] })["errors"]).toBe(true);
    expect(verdicts(a, { errors: { connection: 3 }, faults: [router] })["errors"]).toBe(false);
  });

  test("a cluster that is not OK again breaks the run's promise", () => {
    expect(verdicts(a, { faults: [fault({})] })["recovery"]).toBe(true);
    expect(verdicts(a, { faults: [fault({ okAfterMs: null })] })["recovery"]).toBe(false);
  });
});

describe("the report", () => {
  function report(change: Partial<ChaosReport> = {}): ChaosReport {
    return {
      ...QUIET,
      name: "ci",
      seed: 7,
      begun: "2026-01-01T00:00:00.000Z",
      durationMs: 60_000,
      isInterrupted: false,
      brokenOff: null,
      verdicts: judge(conf(), QUIET),
      faults: [fault({ node: "<a1>", errors: { UNCERTAIN: 2 } })],
      lostKeys: [],
      leftAlone: ["the router: its clients have no other"],
      ...change,
    };
  }

  test("as a page: everything is escaped, and the result stands in the title", () => {
    const template = readFileSync(join(ROOT, "templates/chaos.html.hbs"), "utf8");
    const page = renderChaosPage(report(), template);
    expect(page).toContain("<title>ci: promises kept</title>");
    expect(page).toContain("killed master &lt;a1&gt;, started again 0.50 s later");
    expect(page).toContain("2 UNCERTAIN");
    expect(page).not.toContain("Lost keys");
    const broken = renderChaosPage(report({ brokenOff: "a disk", lostKeys: ["k1"] }), template);
    expect(broken).toContain("<title>ci: promises broken</title>");
    expect(broken).toContain("the run ended early: a disk");
    expect(broken).toContain("<code>k1</code>");
  });

  test("a cut is named with its ways", () => {
    const cut = (from: Cut["from"], way: Cut["way"]) =>
      faultText(fault({ kind: "cut", cut: { from, way }, wasMaster: false }));
    expect(cut("all", "both")).toBe("cut a1 off from all for 0.50 s");
    expect(cut("nodes", "receives")).toBe(
      "cut a1 off from data nodes, status nodes and monitors (what it receives) for 0.50 s",
    );
  });

  test("a run that broke off has proved nothing", () => {
    expect(isKept(report())).toBe(true);
    expect(isKept(report({ brokenOff: "a disk" }))).toBe(false);
    expect(chaosLines(report())[0]).toBe("ci: 1 faults in 60.00 s, seed 7; longest gap 0.02 s");
  });
});
