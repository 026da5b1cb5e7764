// preview.ts: how long the Pulumi program takes for 256 nodes on 8 hosts, real ones and pods, under Pulumi's own test
// mode: parsing, planning, rendering and registering every resource, without an engine. Run with
// `node bench/preview.ts [RUNS]`. The target is 10 s.
import { spawnSync } from "node:child_process";
import * as pulumi from "@pulumi/pulumi";
import { TwineCluster, type TwineClusterArgs } from "../infra/docker/cluster.ts";

const HOSTS = Array.from({ length: 8 }, (_, index) => `db${index + 1}`);
const PARTITIONS = 80;

/** 240 data nodes, 5 status nodes, 3 monitors, 8 routers. */
function confText(): string {
  const hostOf = (index: number): string => HOSTS[index % HOSTS.length] ?? "";
  const data = Array.from({ length: PARTITIONS * 3 }, (_, index) => {
    const partition = Math.floor(index / 3);
    return `n${index}=data ${partition} ${hostOf(partition + index)} ${6000 + index} 0`;
  });
  const status = [0, 1, 2, 3, 4].map((index) => `s${index}=status ${hostOf(index)} 6401 0`);
  const monitors = [0, 1, 2].map((index) => `m${index}=monitor ${hostOf(index)} 7601`);
  const routers = HOSTS.map((host, index) => `r${index}=router ${host} 6400`);
  return [...data, ...status, ...monitors, ...routers, "redis appendonly yes"].join("\n");
}

const CASES: Readonly<Record<string, Omit<TwineClusterArgs, "conf">>> = {
  "8 real hosts, with a password": {
    hosts: Object.fromEntries(HOSTS.map((host) => [host, `ssh://root@${host}`])),
    password: "one-word",
  },
  "8 pods on one engine": { engine: "unix:///var/run/docker.sock" },
};

async function preview(args: Omit<TwineClusterArgs, "conf">): Promise<number> {
  const names = new Set<string>();
  await pulumi.runtime.setMocks(
    {
      newResource: ({ type, name, inputs }) => {
        names.add(`${type} ${name}`);
        return { id: `${name}-id`, state: { ...(inputs as object), imageId: `sha256:${name}` } };
      },
      call: () => ({}),
    },
    "twine",
    "bench",
    true,
  );
  const seen: pulumi.Resource[] = [];
  new TwineCluster(
    "bench",
    { ...args, conf: confText(), runtimeImage: "twine-runtime:bench" },
    {
      transformations: [
        ({ resource }) => {
          seen.push(resource);
          return undefined;
        },
      ],
    },
  );
  await Promise.all(
    seen.map(
      (resource) =>
        new Promise<void>((resolve) => {
          resource.urn.apply(() => {
            resolve();
          });
        }),
    ),
  );
  return names.size;
}

/** In a process of its own: Pulumi keeps what it saw, so a second preview in one process is no fair one. */
function measure(name: string): { resources: number; ms: number } {
  const result = spawnSync(process.execPath, [import.meta.filename, "--once", name], {
    encoding: "utf8",
  });
  return JSON.parse(result.stdout) as { resources: number; ms: number };
}

const [, , mode, named = ""] = process.argv;
const once = mode === "--once" ? CASES[named] : undefined;
if (once !== undefined) {
  const startMs = performance.now();
  const resources = await preview(once);
  process.stdout.write(JSON.stringify({ resources, ms: performance.now() - startMs }));
} else {
  const runs = Number(mode ?? 3);
  process.stdout.write(`256 nodes, ${runs} runs\n\n`);
  process.stdout.write(
    "| case | resources | median s | slowest s |\n| --- | ---: | ---: | ---: |\n",
  );
  for (const name of Object.keys(CASES)) {
    const measured = Array.from({ length: runs }, () => measure(name)).sort((a, b) => a.ms - b.ms);
    const seconds = (one = measured[0]): string => ((one?.ms ?? NaN) / 1000).toFixed(1);
    const median = seconds(measured[Math.floor(runs / 2)]);
    const { resources = 0 } = measured[0] ?? {};
    process.stdout.write(`| ${name} | ${resources} | ${median} | ${seconds(measured.at(-1))} |\n`);
  }
}
