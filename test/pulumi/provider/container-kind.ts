// container-kind.ts: docker.Container: create with uploads, start, wait for health; stop with grace; read for drift.
//
//   create -> leave the default network, join those asked for -> upload -> start -> wait until healthy
//
// What replaces, what updates in place and what is ignored follow terraform-provider-docker 4.5 as tried:
// - replaced, the old one deleted first: image, env, uploads, command, labels and all the rest of REPLACING;
// - in place: restart, memory, memorySwap, memoryReservation, cpuShares, cpuSet, and mustRun (starts a stopped one);
// - reported as an update that does nothing: healthcheck, tmpfs, init, cpuPeriod, cpuQuota, and what only steers the
//   provider (wait, waitTimeout, destroyGraceSeconds, attach, logs, removeVolumes).
// Without destroyGraceSeconds a delete stops with no grace at all: nearly SIGKILL.
import { readFileSync } from "node:fs";
import type Docker from "dockerode";
import { NOT_CARRIED, containerOptions, durationNs } from "./container-options.ts";
import { isGone, messageOf, statusOf } from "./engine.ts";
import { findOrPull } from "./image-kinds.ts";
import type { PropertyProblem } from "./property-types.ts";
import { HalfCreated, NEVER_STARTED, type Created, type ResourceKind } from "./resource-kind.ts";
import { packTar } from "../../../infra/docker/tar.ts";
import { UNKNOWN, bag, bags, flag, number, text, texts, type Bag } from "./values.ts";

const REPLACING = [
  ...[
    "name",
    "image",
    "hostname",
    "domainname",
    "command",
    "entrypoints",
    "user",
    "dns",
    "dnsOpts",
  ],
  ...["dnsSearches", "publishAllPorts", "workingDir", "capabilities", "securityOpts", "runtime"],
  ...[
    "stopSignal",
    "stopTimeout",
    "mounts",
    "volumes",
    "ports",
    "hosts",
    "ulimits",
    "envs",
    "cpus",
  ],
  ...[
    "privileged",
    "devices",
    "labels",
    "shmSize",
    "logDriver",
    "logOpts",
    "networkMode",
    "readOnly",
  ],
  ...[
    "networksAdvanced",
    "pidMode",
    "usernsMode",
    "uploads",
    "sysctls",
    "ipcMode",
    "groupAdds",
    "tty",
  ],
  ...["stdinOpen", "storageOpts", "cgroupnsMode", "cgroupParent"],
];
const MIB = 1024 * 1024;
const POLL_MS = 1000;
const DEFAULT_WAIT_S = 60;

export const CONTAINER: ResourceKind = {
  type: "docker:index/container:Container",
  isBridged: true,
  computed: ["bridge", "containerLogs", "exitCode", "networkDatas"],
  replacing: new Set(REPLACING),
  unordered: new Set([
    ...["dns", "dnsOpts", "dnsSearches", "securityOpts", "mounts", "volumes", "hosts", "ulimits"],
    ...["envs", "devices", "labels", "networksAdvanced", "uploads", "groupAdds"],
  ]),
  defaults: {
    ...{ readOnly: false, wait: false, waitTimeout: DEFAULT_WAIT_S, attach: false, logs: false },
    ...{ mustRun: true, restart: "no", removeVolumes: true, networkMode: "bridge", tty: false },
    ...{ stdinOpen: false, privileged: false, publishAllPorts: false },
  },
  deletesFirst: true,
  autonames: true,
  check: (inputs) => ({ inputs, problems: problemsOf(inputs) }),
  create,
  read,
  update,
  delete: remove,
};

function problemsOf(inputs: Bag): PropertyProblem[] {
  const problems: PropertyProblem[] = NOT_CARRIED.filter((name) => inputs[name] !== undefined).map(
    (name) => ({ property: name, reason: `the stand-in provider does not carry out "${name}"` }),
  );
  const refuse = (property: string, reason: string): void =>
    void problems.push({ property, reason });
  bags(inputs["uploads"]).forEach((upload, index) => {
    const contents = ["content", "contentBase64", "source"].filter(
      (name) => (upload[name] ?? "") !== "",
    );
    if (contents.length !== 1) {
      refuse(`uploads[${index}]`, "one of 'content', 'content_base64', or 'source' must be set");
    }
    const mode = text(upload["permissions"]);
    if (mode !== undefined && mode !== UNKNOWN && !/^0[0-7]{3}$/.test(mode)) {
      refuse(`uploads[${index}].permissions`, `"${mode}" does not match ^0[0-7]{3}$`);
    }
  });
  const restart = text(inputs["restart"]);
  if (
    restart !== undefined &&
    restart !== UNKNOWN &&
    !/^(no|on-failure|always|unless-stopped)$/.test(restart)
  ) {
    refuse("restart", `"${restart}" is no restart policy`);
  }
  for (const name of ["interval", "timeout", "startPeriod", "startInterval"]) {
    const value = bag(inputs["healthcheck"])[name];
    try {
      if (value !== UNKNOWN) durationNs(value);
    } catch (error) {
      refuse(`healthcheck.${name}`, messageOf(error));
    }
  }
  return problems;
}

async function create(docker: Docker, inputs: Bag): Promise<Created> {
  let image: Docker.ImageInspectInfo;
  try {
    image = await findOrPull(docker, text(inputs["image"]) ?? "");
  } catch (cause) {
    throw new Error(
      `Unable to create container with image ${String(inputs["image"])}: ${messageOf(cause)}`,
      { cause },
    );
  }
  let container: Docker.Container;
  try {
    container = await docker.createContainer(containerOptions(inputs, image.Id));
  } catch (cause) {
    throw new Error(`Unable to create container: ${messageOf(cause)}`, { cause });
  }
  // From here on there is something to keep in the state, whatever fails.
  try {
    await joinNetworks(docker, container, inputs);
    for (const upload of bags(inputs["uploads"])) await uploadFile(container, upload);
    await container.start();
  } catch (cause) {
    const state = { ...inputs, [NEVER_STARTED]: true };
    const message = `Unable to start container ${container.id.slice(0, 12)}: ${messageOf(cause)}`;
    throw new HalfCreated(message, { id: container.id, state });
  }
  if (flag(inputs["attach"])) await container.wait();
  const state = await describe(container, inputs);
  if (flag(inputs["wait"])) {
    const reason = await waitUntilHealthy(
      container,
      number(inputs["waitTimeout"]) ?? DEFAULT_WAIT_S,
    );
    if (reason !== undefined) throw new HalfCreated(reason, { id: container.id, state });
  }
  return { id: container.id, state };
}

async function joinNetworks(
  docker: Docker,
  container: Docker.Container,
  inputs: Bag,
): Promise<void> {
  const networks = bags(inputs["networksAdvanced"]);
  if (networks.length === 0) return;
  const mode = text(inputs["networkMode"]) ?? "bridge";
  if (mode === "bridge") {
    await docker.getNetwork("bridge").disconnect({ Container: container.id, Force: false });
  }
  for (const network of networks) {
    const address = {
      IPv4Address: text(network["ipv4Address"]),
      IPv6Address: text(network["ipv6Address"]),
    };
    const given = Object.fromEntries(
      Object.entries(address).filter(([, value]) => value !== undefined),
    );
    await docker.getNetwork(String(network["name"])).connect({
      Container: container.id,
      EndpointConfig: { Aliases: texts(network["aliases"]) ?? [], IPAMConfig: given },
    });
  }
}

async function uploadFile(container: Docker.Container, upload: Bag): Promise<void> {
  const base64 = text(upload["contentBase64"]);
  const source = text(upload["source"]);
  const content =
    source !== undefined && source !== ""
      ? readFileSync(source)
      : base64 !== undefined && base64 !== ""
        ? Buffer.from(base64, "base64")
        : Buffer.from(text(upload["content"]) ?? "");
  const permissions = text(upload["permissions"]);
  const mode =
    permissions !== undefined
      ? Number.parseInt(permissions, 8)
      : flag(upload["executable"])
        ? 0o744
        : 0o644;
  const archive = packTar([
    {
      path: String(upload["file"]),
      content,
      mode,
      uid: Number(upload["owner"] ?? 0),
      gid: Number(upload["group"] ?? 0),
    },
  ]);
  await container.putArchive(archive, { path: "/" });
}

/** Undefined when healthy in time, otherwise the real provider's words, which give no reason. */
async function waitUntilHealthy(
  container: Docker.Container,
  waitS: number,
): Promise<string | undefined> {
  const endMs = performance.now() + waitS * 1000;
  while (performance.now() < endMs) {
    const health = (await container.inspect()).State.Health;
    if (health === undefined)
      return "container has no healthcheck, cannot wait for it to be healthy";
    if (health.Status === "healthy") return undefined;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return "container failed to be in healthy state";
}

async function describe(container: Docker.Container, inputs: Bag): Promise<Bag> {
  const found = await container.inspect();
  const networks = Object.entries(found.NetworkSettings.Networks).map(([networkName, one]) => ({
    networkName,
    ipAddress: one.IPAddress,
    ipPrefixLength: one.IPPrefixLen,
    gateway: one.Gateway,
    macAddress: one.MacAddress,
  }));
  const isOver = !found.State.Running;
  const logs = isOver && flag(inputs["logs"]) ? await readLogs(container) : undefined;
  return {
    ...inputs,
    // Docker stores container:NAME as container:<id>, and that is what the state holds from then on.
    networkMode: found.HostConfig.NetworkMode ?? "default",
    bridge: "",
    networkDatas: networks,
    exitCode: found.State.ExitCode,
    ...(logs !== undefined && { containerLogs: logs }),
  };
}

async function readLogs(container: Docker.Container): Promise<string> {
  const raw = await container.logs({ stdout: true, stderr: true });
  return raw.toString("utf8");
}

async function read(docker: Docker, id: string, state: Bag): Promise<Created | undefined> {
  const container = docker.getContainer(id);
  try {
    const found = await container.inspect();
    const now = await describe(container, state);
    const drift: Record<string, unknown> = {};
    const mustRun = flag(state["mustRun"], true);
    // A stopped container publishes no port: with ports it is replaced, without it is started again.
    if (mustRun && !found.State.Running) {
      drift["mustRun"] = false;
      if (bags(state["ports"]).length > 0) drift["ports"] = [];
    }
    const memory = found.HostConfig.Memory ?? 0;
    if (number(state["memory"]) !== undefined) drift["memory"] = memory / MIB;
    const restart = found.HostConfig.RestartPolicy?.Name;
    if (text(state["restart"]) !== undefined && restart !== undefined) drift["restart"] = restart;
    return { id, state: { ...now, ...drift } };
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

async function update(docker: Docker, id: string, olds: Bag, news: Bag): Promise<Bag> {
  const container = docker.getContainer(id);
  const mib = (name: string): number => {
    const value = number(news[name]) ?? 0;
    return value < 0 ? value : value * MIB;
  };
  await container.update({
    Memory: mib("memory"),
    MemorySwap: mib("memorySwap"),
    MemoryReservation: mib("memoryReservation"),
    CpuShares: number(news["cpuShares"]) ?? 0,
    CpusetCpus: text(news["cpuSet"]) ?? "",
    RestartPolicy: {
      Name: text(news["restart"]) ?? "no",
      MaximumRetryCount: number(news["maxRetryCount"]) ?? 0,
    },
  });
  if (flag(news["mustRun"], true) && olds["mustRun"] === false) await container.start();
  return describe(container, news);
}

async function remove(docker: Docker, id: string, state: Bag): Promise<void> {
  const container = docker.getContainer(id);
  try {
    await container.stop({ t: number(state["destroyGraceSeconds"]) ?? 0 });
  } catch (error) {
    // 304: it was not running.
    if (isGone(error)) return;
    if (statusOf(error) !== 304) throw error;
  }
  try {
    await container.remove({ v: flag(state["removeVolumes"], true), force: true });
  } catch (error) {
    // 409: the engine is already removing it.
    if (!isGone(error) && statusOf(error) !== 409) throw error;
  }
}
