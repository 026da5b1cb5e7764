// container-options.ts: arguments of a docker.Container -> what the engine's create call takes. Pure.
import type Docker from "dockerode";
import { bag, bags, flag, labelMap, number, text, textMap, texts, type Bag } from "./values.ts";

const MIB = 1024 * 1024;
const UNITS_NS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 6e10,
  h: 3.6e12,
};

/** Declared by @pulumi/docker, not carried out here: refused, so that nothing is dropped in silence. */
export const NOT_CARRIED = [
  ...["gpus", "deviceCgroupRules", "deviceReadBps", "deviceReadIops", "deviceRequests"],
  ...["deviceWriteBps", "deviceWriteIops", "platform", "rm", "start", "cgroupnsMode"],
];

/** "1m30s" to nanoseconds. @throws Error when it is no duration. */
export function durationNs(value: unknown): number {
  const given = text(value) ?? "0s";
  const parts = [...given.matchAll(/(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)/g)];
  if (given === "" || parts.map(([part]) => part).join("") !== given) {
    throw new Error(`"${given}" is not a duration (ms|s|m|h)`);
  }
  return parts.reduce(
    (sum, [, amount, unit]) => sum + Number(amount) * (UNITS_NS[unit ?? ""] ?? 0),
    0,
  );
}

export function containerOptions(inputs: Bag, imageId: string): Docker.ContainerCreateOptions {
  const ports = bags(inputs["ports"]);
  const portKey = (port: Bag): string =>
    `${String(port["internal"])}/${text(port["protocol"]) ?? "tcp"}`;
  return drop({
    name: text(inputs["name"]),
    Image: imageId,
    Hostname: text(inputs["hostname"]),
    Domainname: text(inputs["domainname"]),
    Cmd: texts(inputs["command"]),
    Entrypoint: texts(inputs["entrypoints"]),
    User: text(inputs["user"]),
    Env: texts(inputs["envs"]),
    WorkingDir: text(inputs["workingDir"]),
    Labels: labelMap(inputs["labels"]),
    Tty: flag(inputs["tty"]),
    OpenStdin: flag(inputs["stdinOpen"]),
    StopSignal: text(inputs["stopSignal"]),
    StopTimeout: number(inputs["stopTimeout"]),
    ExposedPorts: Object.fromEntries(ports.map((port) => [portKey(port), {}])),
    Healthcheck: healthcheck(inputs["healthcheck"]),
    HostConfig: { ...hostConfig(inputs), PortBindings: portBindings(ports, portKey) },
  });
}

function portBindings(ports: readonly Bag[], portKey: (port: Bag) => string): Docker.PortMap {
  const bindings: Record<string, { HostIp: string; HostPort: string }[]> = {};
  for (const port of ports) {
    const external = number(port["external"]);
    (bindings[portKey(port)] ??= []).push({
      HostIp: text(port["ip"]) ?? "0.0.0.0",
      HostPort: external === undefined ? "" : String(external),
    });
  }
  return bindings;
}

function healthcheck(value: unknown): Docker.HealthConfig | undefined {
  if (value === undefined || value === null) return undefined;
  const check = bag(value);
  return {
    Test: texts(check["tests"]) ?? [],
    Interval: durationNs(check["interval"]),
    Timeout: durationNs(check["timeout"]),
    StartPeriod: durationNs(check["startPeriod"]),
    Retries: number(check["retries"]) ?? 0,
  };
}

function hostConfig(inputs: Bag): Docker.HostConfig {
  const capabilities = bag(inputs["capabilities"]);
  const mib = (name: string): number | undefined => {
    const value = number(inputs[name]);
    return value === undefined || value < 0 ? value : value * MIB;
  };
  return drop<Docker.HostConfig>({
    Binds: volumeBinds(inputs),
    VolumesFrom: volumesFrom(inputs),
    Mounts: bags(inputs["mounts"]).map(mount),
    Tmpfs: textMap(inputs["tmpfs"]),
    RestartPolicy: {
      Name: text(inputs["restart"]) ?? "no",
      MaximumRetryCount: number(inputs["maxRetryCount"]) ?? 0,
    },
    CapAdd: texts(capabilities["adds"]),
    CapDrop: texts(capabilities["drops"]),
    SecurityOpt: texts(inputs["securityOpts"]),
    Memory: mib("memory"),
    MemorySwap: mib("memorySwap"),
    MemoryReservation: mib("memoryReservation"),
    ShmSize: mib("shmSize"),
    CpuShares: number(inputs["cpuShares"]),
    CpusetCpus: text(inputs["cpuSet"]),
    CpuPeriod: number(inputs["cpuPeriod"]),
    CpuQuota: number(inputs["cpuQuota"]),
    NanoCpus:
      text(inputs["cpus"]) === undefined ? undefined : Math.round(Number(inputs["cpus"]) * 1e9),
    LogConfig: logConfig(inputs),
    NetworkMode: text(inputs["networkMode"]) ?? "bridge",
    PidMode: text(inputs["pidMode"]),
    UsernsMode: text(inputs["usernsMode"]),
    IpcMode: text(inputs["ipcMode"]),
    CgroupParent: text(inputs["cgroupParent"]),
    Privileged: flag(inputs["privileged"]),
    PublishAllPorts: flag(inputs["publishAllPorts"]),
    ReadonlyRootfs: flag(inputs["readOnly"]),
    Dns: texts(inputs["dns"]),
    DnsOptions: texts(inputs["dnsOpts"]),
    DnsSearch: texts(inputs["dnsSearches"]),
    ExtraHosts: bags(inputs["hosts"]).map((one) => `${String(one["host"])}:${String(one["ip"])}`),
    Ulimits: bags(inputs["ulimits"]).map((one) => ({
      Name: String(one["name"]),
      Soft: number(one["soft"]) ?? 0,
      Hard: number(one["hard"]) ?? 0,
    })),
    Sysctls: textMap(inputs["sysctls"]),
    Init: typeof inputs["init"] === "boolean" ? inputs["init"] : undefined,
    GroupAdd: texts(inputs["groupAdds"]),
    StorageOpt: textMap(inputs["storageOpts"]),
    Runtime: text(inputs["runtime"]),
    Devices: bags(inputs["devices"]).map((one) => ({
      PathOnHost: String(one["hostPath"]),
      PathInContainer: text(one["containerPath"]) ?? String(one["hostPath"]),
      CgroupPermissions: text(one["permissions"]) ?? "rwm",
    })),
  });
}

function logConfig(inputs: Bag): Docker.HostConfig["LogConfig"] {
  const options = textMap(inputs["logOpts"]);
  const driver = text(inputs["logDriver"]);
  if (options === undefined && driver === undefined) return undefined;
  return { Type: driver ?? "json-file", Config: options ?? {} };
}

function volumeBinds(inputs: Bag): string[] {
  return bags(inputs["volumes"])
    .filter((volume) => text(volume["fromContainer"]) === undefined)
    .map((volume) => {
      const source = text(volume["volumeName"]) ?? text(volume["hostPath"]) ?? "";
      const mode = flag(volume["readOnly"]) ? "ro" : "rw";
      return `${source}:${String(volume["containerPath"])}:${mode}`;
    });
}

function volumesFrom(inputs: Bag): string[] {
  return bags(inputs["volumes"])
    .filter((volume) => text(volume["fromContainer"]) !== undefined)
    .map((volume) => String(volume["fromContainer"]));
}

function mount(value: Bag): Docker.MountSettings {
  const volume = bag(value["volumeOptions"]);
  const tmpfs = bag(value["tmpfsOptions"]);
  const propagation = text(bag(value["bindOptions"])["propagation"]);
  return drop({
    Target: String(value["target"]),
    Source: text(value["source"]) ?? "",
    Type: String(value["type"]) as Docker.MountType,
    ReadOnly: flag(value["readOnly"]),
    BindOptions:
      propagation === undefined
        ? undefined
        : { Propagation: propagation as Docker.MountPropagation },
    VolumeOptions:
      value["volumeOptions"] === undefined
        ? undefined
        : {
            NoCopy: flag(volume["noCopy"]),
            Labels: labelMap(volume["labels"]) ?? {},
            DriverConfig: {
              Name: text(volume["driverName"]) ?? "",
              Options: textMap(volume["driverOptions"]) ?? {},
            },
          },
    TmpfsOptions:
      value["tmpfsOptions"] === undefined
        ? undefined
        : { SizeBytes: number(tmpfs["sizeBytes"]) ?? 0, Mode: number(tmpfs["mode"]) ?? 0 },
  });
}

/** Without the entries that are undefined: the engine's API tells absent and null apart. */
function drop<T>(value: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as T;
}
