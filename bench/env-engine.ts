// env-engine.ts: how long `twine-env up --engine` takes until OK on one Docker engine, alone and eight side by side, and what is
// left after `down`. `node bench/env-engine.ts --help`; needs what the Pulumi tests need.
import { loadavg } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { envUp, twineEnv } from "../test/pulumi/env-probe.ts";
import { ensurePulumi } from "../test/pulumi/cli/pulumi-cli.ts";
import { importBaseImages } from "../test/support/base-images.ts";
import { startEngines } from "../test/support/docker-engines.ts";
import { ROOT } from "../test/support/source-files.ts";
import { wholeFrom } from "./option-values.ts";

const { runs, sideBySide } = new Command("bench/env-engine.ts")
  .description("How long twine-env up --engine takes until OK, alone and side by side.")
  .option("--runs <n>", "runs of one environment", wholeFrom(1), 2)
  .option("--side-by-side <n>", "environments at once at the end; 0: none", wholeFrom(0), 8)
  .parse()
  .opts<{ runs: number; sideBySide: number }>();
const CONF = join(ROOT, "twine.conf");

async function timed(work: () => Promise<unknown>): Promise<number> {
  const beganMs = performance.now();
  await work();
  return (performance.now() - beganMs) / 1000;
}

const seconds = (all: readonly number[]): string => all.map((one) => one.toFixed(1)).join(", ");

await ensurePulumi();
const fleet = await startEngines(["pods"]);
try {
  const host = fleet.host("pods");
  await importBaseImages([host], fleet.folder);
  const loadBefore = loadavg()[0] ?? 0;
  // The first one builds the runtime's image.
  const first = await timed(() => envUp(fleet, host, "first", CONF));
  await twineEnv(fleet, host, "down", "first");
  process.stdout.write(`the first one, with the build of the image: ${first.toFixed(1)} s\n`);
  const [ups, downs]: [number[], number[]] = [[], []];
  for (let run = 0; run < runs; run++) {
    ups.push(await timed(() => envUp(fleet, host, "one", CONF)));
    downs.push(await timed(() => twineEnv(fleet, host, "down", "one")));
  }
  const names = Array.from({ length: sideBySide }, (_, index) => `side-${index}`);
  if (names.length > 0) {
    const up = await timed(() =>
      Promise.all(names.map((name) => envUp(fleet, host, name, CONF, "--wait", "400s"))),
    );
    const down = await timed(() =>
      Promise.all(names.map((name) => twineEnv(fleet, host, "down", name))),
    );
    const [left, volumes, networks] = await Promise.all([
      host.docker.listContainers({ all: true }),
      host.docker.listVolumes(),
      host.docker.listNetworks(),
    ]);
    const leftNetworks = networks.filter(({ Name }) => Name.startsWith("env-"));
    process.stdout.write(
      `${names.length} side by side: up ${up.toFixed(1)} s, down ${down.toFixed(1)} s; ` +
        `left: ${left.length} containers, ${volumes.Volumes.length} volumes, ${leftNetworks.length} networks\n`,
    );
  }
  process.stdout.write(
    `up ${seconds(ups)} s; down ${seconds(downs)} s; ` +
      `load ${loadBefore.toFixed(0)} before, ${(loadavg()[0] ?? 0).toFixed(0)} after\n`,
  );
} finally {
  await fleet.stop();
}
