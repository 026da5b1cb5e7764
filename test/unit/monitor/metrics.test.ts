// The text of /metrics without a network: grammar, names, and what INFO becomes.
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { Registry } from "prom-client";
import { describe, expect, test } from "vitest";
import {
  CLUSTER_METRICS,
  clusterFamilies,
} from "../../../runtime/monitor/metrics/cluster-metrics.ts";
import { expositionOf, type Metric } from "../../../runtime/monitor/metrics/exposition.ts";
import { failoversBetween } from "../../../runtime/monitor/metrics/failovers.ts";
import {
  REDIS_METRICS,
  redisFamilies,
  redisSamplesOf,
} from "../../../runtime/monitor/metrics/redis-metrics.ts";
import { REGISTER_METRICS } from "../../../runtime/monitor/metrics/register-latency.ts";
import { LOG_METRICS } from "../../../runtime/monitor/metrics/log-count.ts";
import { ALERT_METRICS } from "../../../runtime/monitor/metrics/alert-count.ts";
import { readExposition } from "../../support/exposition-grammar.ts";
import { exampleView, reshardingReport, reportOn } from "../status/example-reports.ts";

const ALL = [
  ...CLUSTER_METRICS,
  ...ALERT_METRICS,
  ...LOG_METRICS,
  ...REGISTER_METRICS,
  ...REDIS_METRICS,
];

const INFO = [
  "# Server",
  "redis_version:7.0.15",
  "run_id:abc",
  'os:Linux "x\\y"',
  "# Replication",
  "role:master",
  "connected_slaves:1",
  "slave0:ip=127.0.0.1,port=6667,state=online,offset=14,lag=0",
  "master_repl_offset:28",
  "# Stats",
  "keyspace_hits:3",
  "latest_fork_usec:250",
  "rdb_last_bgsave_status:err",
  "# Commandstats",
  "cmdstat_config|get:calls=2,usec=2000,usec_per_call=1000.00,rejected_calls=0,failed_calls=0",
  "# Errorstats",
  "errorstat_WRONGTYPE:count=5",
  "# Keyspace",
  "db0:keys=7,expires=2,avg_ttl=1500",
  "",
].join("\r\n");

const NODE = { name: "a6666", host: "db1", port: 6666, partition: 0 };

function page(info: string | null): ReturnType<typeof readExposition> {
  const families = redisFamilies([redisSamplesOf({ ...NODE, info })]);
  return readExposition([...expositionOf(families)].join(""));
}

function valueOf(families: ReturnType<typeof readExposition>, name: string): number | undefined {
  return families.get(name)?.samples[0]?.value;
}

describe("the exposition", () => {
  test("any label, help and value comes back from the strict grammar as it went in", () => {
    const label = fc.string({
      unit: fc.constantFrom('"', "\\", "\n", "a", "ä", "{", "}", ",", "="),
    });
    fc.assert(
      fc.property(fc.uniqueArray(label), fc.double(), label, (words, value, help) => {
        const metric: Metric = { name: "twine_x", type: "gauge", labels: ["word"], help };
        const samples = words.map((word) => ({ labels: { word }, value }));
        const text = [...expositionOf([{ metric, samples }])].join("");
        const read = readExposition(text).get("twine_x")?.samples ?? [];
        expect(read.map(({ labels }) => labels["word"])).toEqual(words);
        // Zero has no sign in the text.
        for (const sample of read) expect(sample.value).toBe(value === 0 ? 0 : value);
      }),
    );
  });

  test("a page of many samples comes in slices and each family stands once", () => {
    const nodes = Array.from({ length: 100 }, (_, index) =>
      redisSamplesOf({ ...NODE, name: `a${index}`, port: index, info: INFO }),
    );
    const slices = [...expositionOf(redisFamilies(nodes))];
    expect(slices.length).toBeGreaterThan(1);
    const families = readExposition(slices.join(""));
    expect(families.get("redis_up")?.samples).toHaveLength(100);
  });

  test.each(["x 1", "# TYPE x gauge\nx 1\n", "# HELP x h\n# TYPE x gauge\nx{a=1} 1\n"])(
    "the grammar of this test refuses %j",
    (text) => {
      expect(() => readExposition(text)).toThrow();
    },
  );
});

describe("a data node's metrics", () => {
  test("carry redis_exporter's names, with addr, node and partition as labels", () => {
    const families = page(INFO);
    expect(families.get("redis_up")?.samples).toEqual([
      { name: "redis_up", labels: { addr: "db1:6666", node: "a6666", partition: "0" }, value: 1 },
    ]);
    expect(valueOf(families, "redis_connected_slaves")).toBe(1);
    expect(valueOf(families, "redis_keyspace_hits_total")).toBe(3);
    expect(valueOf(families, "redis_rdb_last_bgsave_status")).toBe(0);
    expect(valueOf(families, "redis_latest_fork_seconds")).toBeCloseTo(0.00025);
    expect(families.get("redis_instance_info")?.samples[0]?.labels).toMatchObject({
      role: "master",
      redis_version: "7.0.15",
      os: 'Linux "x\\y"',
    });
  });

  test("say per db, command, error and replica what INFO says", () => {
    const families = page(INFO);
    const only = (name: string) =>
      families.get(name)?.samples.map(({ labels, value }) => {
        const { addr, node, partition, ...own } = labels;
        expect([addr, node, partition]).toEqual(["db1:6666", "a6666", "0"]);
        return [own, value];
      });
    expect(only("redis_db_keys")).toEqual([[{ db: "db0" }, 7]]);
    expect(only("redis_db_avg_ttl_seconds")).toEqual([[{ db: "db0" }, 1.5]]);
    expect(only("redis_commands_total")).toEqual([[{ cmd: "config|get" }, 2]]);
    expect(only("redis_commands_duration_seconds_total")).toEqual([[{ cmd: "config|get" }, 0.002]]);
    expect(only("redis_errors_total")).toEqual([[{ err: "WRONGTYPE" }, 5]]);
    expect(only("redis_connected_slave_offset_bytes")).toEqual([
      [{ slave_ip: "127.0.0.1", slave_port: "6667", slave_state: "online" }, 14],
    ]);
  });

  test("a node without an answer is redis_up 0 and nothing else, and what INFO lacks has no sample", () => {
    expect([...page(null).keys()]).toEqual(["redis_up"]);
    expect(valueOf(page(null), "redis_up")).toBe(0);
    expect([...page("role:master\r\nused_memory:nonsense\r\n").keys()]).toEqual([
      "redis_up",
      "redis_instance_info",
    ]);
  });
});

describe("the cluster's metrics", () => {
  const facts = {
    report: reportOn(exampleView()),
    version: "1.2.3",
    isHealthy: true,
    failoverCount: 4,
  };

  test("say state, roles and partitions as twine-status does", () => {
    const families = readExposition([...expositionOf(clusterFamilies(facts))].join(""));
    expect(families.get("twine_build_info")?.samples[0]?.labels).toEqual({ version: "1.2.3" });
    expect(valueOf(families, "twine_failovers_total")).toBe(4);
    const states = families.get("twine_state")?.samples ?? [];
    expect(states.filter(({ value }) => value === 1).map(({ labels }) => labels["state"])).toEqual([
      facts.report.state,
    ]);
    const alphas = families.get("twine_alpha")?.samples.filter(({ value }) => value === 1) ?? [];
    expect(alphas.map(({ labels }) => labels["monitor"])).toEqual([facts.report.view?.alpha]);
    expect(families.get("twine_partition_up")?.samples).toHaveLength(
      facts.report.partitions.length,
    );
    expect(families.get("twine_node_up")?.samples).toHaveLength(facts.report.nodes.length);
  });

  test("a resharding shows its phase, and each partition's part; without one there is no sample", () => {
    const shown = { ...facts, report: reshardingReport() };
    const families = readExposition([...expositionOf(clusterFamilies(shown))].join(""));
    const samplesOf = (name: string) =>
      families.get(name)?.samples.map(({ labels, value }) => [labels, value]);
    expect(samplesOf("twine_reshard_phase")).toEqual([[{ phase: "copying" }, 1]]);
    expect(samplesOf("twine_reshard_copied_keys")).toEqual([
      [{ partition: "0" }, 1000],
      [{ partition: "1" }, 250],
    ]);
    expect(samplesOf("twine_reshard_longest_hold_seconds")).toEqual([[{}, 0.13]]);
    const without = readExposition([...expositionOf(clusterFamilies(facts))].join(""));
    expect([...without.keys()].filter((name) => name.includes("reshard"))).toEqual([]);
  });

  test("every sample has exactly the labels that its metric names", () => {
    for (const { metric, samples } of clusterFamilies(facts)) {
      for (const { labels } of samples) expect(Object.keys(labels)).toEqual(metric.labels);
    }
  });

  test("a failover is a master that became another node, not the first one and not a return", () => {
    const { view } = facts.report;
    if (view === null) throw new Error("the example has a view");
    const [first, ...rest] = view.partitions;
    if (first === undefined) throw new Error("the example has partitions");
    const withFirst = (change: object) => ({
      ...view,
      partitions: [{ ...first, ...change }, ...rest],
    });
    const served = withFirst({ master: "a1", lastMaster: "a1" });
    const lost = withFirst({ master: null, lastMaster: "a1" });
    const moved = withFirst({ master: "a2", lastMaster: "a2" });
    expect(failoversBetween(null, served)).toBe(0);
    expect(failoversBetween(withFirst({ master: null, lastMaster: null }), served)).toBe(0);
    expect(failoversBetween(served, lost)).toBe(0);
    expect(failoversBetween(lost, served)).toBe(0);
    expect(failoversBetween(lost, moved)).toBe(1);
    expect(failoversBetween(served, moved)).toBe(1);
  });
});

test("docs/metrics.md lists exactly the metrics of a monitor that there are, with type and labels, in the same order", () => {
  const text = readFileSync(new URL("../../../docs/metrics.md", import.meta.url), "utf8");
  const rows = [
    ...text.matchAll(/^\| `((?:twine(?!_router_)|redis)_[a-z_]+)` *\| (\w+) *\| (.*?) *\|/gm),
  ];
  const listed = rows.map(([, name, type, labels = ""]) => [name, type, labels]);
  expect(listed).toEqual(
    ALL.map(({ name, type, labels }) => [name, type, labels.length === 0 ? "" : labels.join(", ")]),
  );
});

test("the counters since the start are written in the same grammar", async () => {
  const registry = new Registry();
  expect(readExposition(await registry.metrics()).size).toBe(0);
});
