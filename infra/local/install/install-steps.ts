// install-steps.ts: the steps to install redis-server on this machine. Pure.

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
  readonly steps: readonly (readonly string[])[];
  readonly needsRoot: boolean;
  readonly guardsServices: boolean;
}

const WAYS: readonly Way[] = [
  {
    manager: "apt-get",
    steps: [
      ["apt-get", "update", "-q"],
      ["apt-get", "install", "-y", "-q", "--no-install-recommends", "redis-server"],
    ],
    needsRoot: true,
    guardsServices: true,
  },
  {
    manager: "dnf",
    // Fedora and related systems ship Valkey, older ones Redis; neither starts a service by itself.
    steps: [["sh", "-c", "dnf install -y redis || dnf install -y valkey"]],
    needsRoot: true,
    guardsServices: false,
  },
  {
    manager: "brew",
    // Homebrew refuses to run as root.
    steps: [["brew", "install", "redis"]],
    needsRoot: false,
    guardsServices: false,
  },
];

export function installPlan(machine: Machine): InstallPlan {
  const ways = WAYS.filter((way) => machine.has(way.manager));
  const may = ways.find((way) =>
    way.needsRoot ? machine.isRoot || machine.hasSudo : !machine.isRoot,
  );
  if (may !== undefined) {
    const prefix = may.needsRoot && !machine.isRoot ? ["sudo", "-n"] : [];
    const steps = may.steps.map((step) => [...prefix, ...step]);
    return { kind: "may", plan: { steps, guardsServices: may.guardsServices } };
  }
  return { kind: "say", how: ways.length > 0 ? ways.map(asRoot) : otherWays(machine.platform) };
}

function asRoot(way: Way): string {
  const who = way.needsRoot ? "as root" : "as a user other than root";
  return `${who}: ${way.steps.map((step) => step.join(" ")).join(" && ")}`;
}

function otherWays(platform: string): string[] {
  const general = "any redis-server or valkey-server of version 6 or later on PATH will do";
  if (platform === "darwin")
    return ["install Homebrew (https://brew.sh), then: brew install redis", general];
  if (platform === "win32") return ["run Twine inside the Windows Subsystem for Linux", general];
  return ["install redis or valkey with this system's package manager", general];
}
