// install-steps.ts: the steps to install redis-server, and what else a twine.conf needs, on this machine. Pure.
import type { Settings } from "../../../runtime/core/cluster.ts";

/** redis-server stands for valkey-server as well. */
export type Wanted = "redis-server" | Extra;
export type Extra = "nutcracker" | "monit";

/** The programs that a cluster with these settings needs beside redis-server. */
export function extraPrograms({ router, supervisor }: Settings): readonly Extra[] {
  return [
    ...(router === "twemproxy" ? (["nutcracker"] as const) : []),
    ...(supervisor === "monit" ? (["monit"] as const) : []),
  ];
}

export interface Machine {
  readonly platform: string;
  readonly isRoot: boolean;
  /** sudo is installed and needs no password. */
  readonly hasSudo: boolean;
  /** Installed package managers. */
  readonly has: (program: string) => boolean;
}

export interface InstallSteps {
  /** Commands in order. */
  readonly steps: readonly (readonly string[])[];
  /** Debian's packages start a server on port 6379 during the installation; this must be prevented. */
  readonly guardsServices: boolean;
}

export type InstallPlan =
  | { readonly kind: "may"; readonly plan: InstallSteps }
  /** What the operator can do instead, one option per line. */
  | { readonly kind: "say"; readonly how: readonly string[] };

interface Way {
  readonly manager: string;
  readonly steps: (wanted: readonly Wanted[]) => readonly (readonly string[])[];
  readonly needsRoot: boolean;
  readonly guardsServices: boolean;
}

const WAYS: readonly Way[] = [
  {
    manager: "apt-get",
    steps: (wanted) => [
      ["apt-get", "update", "-q"],
      ["apt-get", "install", "-y", "-q", "--no-install-recommends", ...wanted],
    ],
    needsRoot: true,
    guardsServices: true,
  },
  {
    manager: "dnf",
    // Fedora and related systems ship Valkey, older ones Redis; no package starts a service by itself.
    steps: (wanted) =>
      wanted.map((name) =>
        name === "redis-server"
          ? ["sh", "-c", "dnf install -y redis || dnf install -y valkey"]
          : ["dnf", "install", "-y", name === "nutcracker" ? "twemproxy" : name],
      ),
    needsRoot: true,
    guardsServices: false,
  },
  {
    manager: "brew",
    // Homebrew refuses to run as root.
    steps: (wanted) => [["brew", "install", ...wanted.map((name) => BREW[name])]],
    needsRoot: false,
    guardsServices: false,
  },
];

const BREW: Readonly<Record<Wanted, string>> = {
  "redis-server": "redis",
  nutcracker: "twemproxy",
  monit: "monit",
};

export function installPlan(
  machine: Machine,
  wanted: readonly Wanted[] = ["redis-server"],
): InstallPlan {
  const ways = WAYS.filter((way) => machine.has(way.manager));
  const may = ways.find((way) =>
    way.needsRoot ? machine.isRoot || machine.hasSudo : !machine.isRoot,
  );
  if (may !== undefined) {
    const prefix = may.needsRoot && !machine.isRoot ? ["sudo", "-n"] : [];
    const steps = may.steps(wanted).map((step) => [...prefix, ...step]);
    return { kind: "may", plan: { steps, guardsServices: may.guardsServices } };
  }
  if (ways.length === 0) return { kind: "say", how: otherWays(machine.platform, wanted) };
  return { kind: "say", how: ways.map((way) => asRoot(way, wanted)) };
}

function asRoot(way: Way, wanted: readonly Wanted[]): string {
  const who = way.needsRoot ? "as root" : "as a user other than root";
  return `${who}: ${way
    .steps(wanted)
    .map((step) => step.join(" "))
    .join(" && ")}`;
}

function otherWays(platform: string, wanted: readonly Wanted[]): string[] {
  const general = wanted.includes("redis-server")
    ? ["any redis-server or valkey-server of version 6 or later on PATH will do"]
    : [];
  const names = wanted.map((name) => BREW[name]).join(" ");
  if (platform === "darwin")
    return [`install Homebrew (https://brew.sh), then: brew install ${names}`, ...general];
  if (platform === "win32") return ["run Twine inside the Windows Subsystem for Linux", ...general];
  const packages = wanted
    .map((name) => (name === "redis-server" ? "redis or valkey" : BREW[name]))
    .join(", ");
  return [`install ${packages} with this system's package manager`, ...general];
}
