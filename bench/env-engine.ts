// env-engine.ts: how long `twine-env up --engine` takes until OK on one Docker engine, alone and eight side by side; beside it
// the same containers, with the same files, made and started by Docker's API as `docker run` does, until their monitors say OK.
// `node bench/env-engine.ts --help`; needs what the Pulumi tests need. To reach: 3 s more than docker run.
import { loadavg } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import type Docker from "dockerode";
import { envUp, twineEnv } from "../test/pulumi/env-probe.ts";
import { ensurePulumi } from "../test/pulumi/cli/pulumi-cli.ts";
import { importBaseImages } from "../test/support/base-images.ts";
import { startEngines, type EngineHost } from "../test/support/docker-engines.ts";
import { until } from "../test/support/redis-server.ts";
import { ROOT } from "../test/support/source-files.ts";
import { wholeFrom } from "./option-values.ts";

const { runs, sideBySide } = new Command("bench/env-engine.ts")
  .description("How long twine-env up --engine takes until OK, beside docker run of the same.")
  .option("--runs <n>", "pairs of one environment and docker run", wholeFrom(1), 2)
  .option("--side-by-side <n>", "environments at once at the end; 0: none", wholeFrom(0), 8)
  .parse()
  .opts<{ runs: number; sideBySide: number }>();
const CONF = join(ROOT, "twine.conf");
const WITHIN_MS = 300_000;
const FILES = "/etc/twine";

/** A container as it was made, to make it again. */
interface Made {
  readonly id: string;
  readonly name: string;
  /** Of a pod: its network; undefined: it is in a pod. */
  readonly network: string | undefined;
  readonly options: Docker.ContainerCreateOptions;
  readonly files: Buffer | undefined;
}

async function madeOn(host: EngineHost): Promise<Made[]> {
  const listed = await host.docker.listContainers({ all: true });
  return Promise.all(
    listed.map(async ({ Id: id }) => {
      const container = host.docker.getContainer(id);
      const { Name, Config, HostConfig, NetworkSettings } = await container.inspect();
      const isPod = !(HostConfig.NetworkMode ?? "").startsWith("container:");
      const files = await container
        .getArchive({ path: FILES })
        .then(bytesOf)
        .catch(() => undefined);
      const { Hostname, ExposedPorts, ...rest } = Config;
      const networks = Object.entries(NetworkSettings.Networks).map(
        ([network, { Aliases }]) =>
          [network, { Aliases: (Aliases as string[] | null) ?? [] }] as const,
      );
      const network = networks.map(([name]) => name).find((name) => name.startsWith("env-"));
      const ofPod = {
        ...{ Hostname, ExposedPorts },
        NetworkingConfig: { EndpointsConfig: Object.fromEntries(networks) },
      };
      const options = { ...rest, HostConfig, ...(isPod ? ofPod : {}) };
      return { id, name: Name.slice(1), network: isPod ? network : undefined, options, files };
    }),
  );
}

async function bytesOf(stream: NodeJS.ReadableStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Pods first; then everything at once, as the environment itself does. */
async function runAll(host: EngineHost, all: readonly Made[]): Promise<void> {
  const ids = new Map<string, string>();
  const begin = async ({ id, name, network, options, files }: Made): Promise<void> => {
    const pod = /^container:(.*)$/.exec(options.HostConfig?.NetworkMode ?? "")?.[1] ?? "";
    const mode = network ?? `container:${ids.get(pod) ?? ""}`;
    const HostConfig = { ...options.HostConfig, NetworkMode: mode };
    const container = await host.docker.createContainer({ ...options, name, HostConfig });
    ids.set(id, container.id);
    if (files !== undefined) await container.putArchive(files, { path: "/etc" });
    await container.start();
  };
  await Promise.all(all.filter(({ network }) => network !== undefined).map(begin));
  await Promise.all(all.filter(({ network }) => network === undefined).map(begin));
}

async function removeAll(host: EngineHost): Promise<void> {
  const listed = await host.docker.listContainers({ all: true });
  await Promise.all(
    listed.map(({ Id: id }) => host.docker.getContainer(id).remove({ force: true, v: true })),
  );
  const { Volumes: volumes } = await host.docker.listVolumes();
  await Promise.all(volumes.map(({ Name }) => host.docker.getVolume(Name).remove({ force: true })));
}

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
  const [ups, downs, plain]: [number[], number[], number[]] = [[], [], []];
  for (let run = 0; run < runs; run++) {
    let monitor = "";
    ups.push(
      await timed(async () => {
        monitor = (await envUp(fleet, host, "one", CONF)).monitorUrls[0] ?? "";
      }),
    );
    const all = await madeOn(host);
    const network = await host.docker
      .getNetwork(all.map((one) => one.network).find((name) => name !== undefined) ?? "")
      .inspect();
    downs.push(await timed(() => twineEnv(fleet, host, "down", "one")));
    const isOk = async (): Promise<boolean> => {
      const said = await host
        .run("curl", "-s", "-m", "2", `${monitor}/status.json`)
        .catch(() => "");
      return said.includes('"state":"OK"');
    };
    plain.push(
      await timed(async () => {
        const { Name, Driver, Options, IPAM } = network;
        await host.docker.createNetwork({ Name, Driver, Options, IPAM });
        await runAll(host, all);
        await until("the cluster is OK", isOk, WITHIN_MS);
      }),
    );
    await removeAll(host);
    await host.docker.getNetwork(network.Name).remove();
    process.stdout.write(`up ${seconds(ups)} s; docker run ${seconds(plain)} s\n`);
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
    `up ${seconds(ups)} s; docker run ${seconds(plain)} s; down ${seconds(downs)} s; ` +
      `load ${loadBefore.toFixed(0)} before, ${(loadavg()[0] ?? 0).toFixed(0)} after\n`,
  );
} finally {
  await fleet.stop();
}
