// plan.ts: how long a file of 4,096 nodes takes to read, complete and plan, and how long twine-plan takes for it and for a
// difference. Run with `node bench/plan.ts [RUNS]`. The targets are one second for all steps together, two for twine-plan. What follows of a plan on Docker hosts, the preview of 256
// nodes on 8 hosts, is measured by preview.ts, which this runs last.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
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

const folder = mkdtempSync(join(tmpdir(), "twine-bench-"));
try {
  const [file, old] = [join(folder, "twine.conf"), join(folder, "old.conf")];
  writeFileSync(file, text);
  // Every 16th node on another host, a replica less, another limit.
  const moved = text
    .replace(/^n4095=.*\n?/m, "")
    .replace("maxmemory 1gb", "maxmemory 2gb")
    .replace(/^(n\d*[02468]0=data \d+) db\d+/gm, "$1 db63");
  writeFileSync(old, moved);
  const tool = join(import.meta.dirname, "../infra/bin/twine-plan.ts");
  for (const args of [[], ["--diff", old]]) {
    const times = Array.from({ length: RUNS }, () => {
      const startMs = performance.now();
      const ran = spawnSync(process.execPath, [tool, "--conf", file, ...args]);
      if (ran.status !== (args.length === 0 ? 0 : 3)) throw new Error(String(ran.stderr));
      return performance.now() - startMs;
    });
    const name = `twine-plan${args.length === 0 ? "" : " --diff"}, the whole process`;
    const slowest = Math.max(...times);
    process.stdout.write(`| ${name} | ${median(times).toFixed(1)} | ${slowest.toFixed(1)} |\n`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

process.stdout.write("\nA preview of Docker hosts (bench/preview.ts): ");
spawnSync(process.execPath, [join(import.meta.dirname, "preview.ts")], { stdio: "inherit" });
