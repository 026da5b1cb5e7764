// plan.ts: how long a file of 4,096 nodes takes to read, complete and plan. Run with `node bench/plan.ts
// [RUNS]`. The target is one second for all of it together. What follows of a plan on Docker hosts, the preview of 256
// nodes on 8 hosts, is measured by preview.ts, which this runs last.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { planCluster } from "../infra/plan/plan-cluster.ts";
import type { ClusterConfig } from "../runtime/core/cluster.ts";
import { completeConfig } from "../runtime/core/conf/complete.ts";
import { confDigest } from "../runtime/core/conf/digest.ts";
import { parseConf } from "../runtime/core/conf/parse.ts";

const NODES = 4096;
const RUNS = Number(process.argv[2] ?? 15);

/**
 * 2,048 partitions of two nodes on 64 hosts, without a status or monitor line, so that completing
 * has work.
 */
function largeConf(): string {
  const lines = Array.from({ length: NODES }, (_, index) => {
    const partition = index >> 1;
    const host = (partition + (index % 2) * 17) % 64;
    return `n${index}=data ${partition} db${host}.example.com ${6000 + index} 0  # node ${index}`;
  });
  return ["cluster large", "redis maxmemory 1gb", ...lines].join("\n");
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

const text = largeConf();
let config: ClusterConfig | undefined;
const steps: readonly (readonly [name: string, run: () => void])[] = [
  ["parseConf", () => ({ config } = parseConf(text, "large.conf"))],
  ["completeConfig", () => (config &&= completeConfig(config).config)],
  ["confDigest", () => config && confDigest(config)],
  [
    "planCluster",
    () => config && planCluster(config, { confPath: "large.conf", hasPassword: true }),
  ],
];
const timesMs = steps.map((): number[] => []);
for (let run = 0; run < RUNS; run++) {
  steps.forEach(([, task], index) => {
    const startMs = performance.now();
    task();
    timesMs[index]?.push(performance.now() - startMs);
  });
}

process.stdout.write(`${NODES} nodes, ${Math.round(text.length / 1024)} KB, ${RUNS} runs\n\n`);
process.stdout.write("| step | median ms | slowest ms |\n| --- | ---: | ---: |\n");
steps.forEach(([name], index) => {
  const times = timesMs[index] ?? [];
  const slowest = Math.max(...times);
  process.stdout.write(`| ${name} | ${median(times).toFixed(1)} | ${slowest.toFixed(1)} |\n`);
});

process.stdout.write("\nA preview of Docker hosts (bench/preview.ts): ");
spawnSync(process.execPath, [join(import.meta.dirname, "preview.ts")], { stdio: "inherit" });
