// rotate.ts: carries out a rotation of the password on this machine's hosts, step by step as core/rotation.ts decides.
//
//   read notes -> decide -> apply: password file -> nodes, live -> their files -> monitors and routers use it -> note
//        ^------------------ announce, wait <--+
//
// Each part can be repeated, so after a crash anywhere the next run continues. The password file is written first:
// everything else is derived from it, and it contains both passwords as long as either is needed.
import { realpath } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { fingerprintOf } from "../../../runtime/core/credentials.ts";
import {
  decideRotation,
  type RotationGoal,
  type RotationNote,
  type RotationStep,
} from "../../../runtime/core/rotation.ts";
import { assert, TwineError, type Problem } from "../../../runtime/core/errors.ts";
import type { ClusterConfig } from "../../../runtime/core/cluster.ts";
import { masterName } from "../../../runtime/core/sentinel-nodes.ts";
import type { PlannedHost, PlannedService } from "../../plan/plan.ts";
import { hostsToRun } from "../choose-hosts.ts";
import type { LocalContext } from "../context.ts";
import { writeWhole } from "../files/files.ts";
import { withLocks } from "../files/host-lock.ts";
import { lockFile } from "../files/layout.ts";
import { findTargets, isSetUp, askAddress } from "../targets.ts";
import { checkLive, followLive, type LiveNode } from "./live-nodes.ts";
import { followFiles } from "./node-files.ts";
import { refusal } from "./refusals.ts";
import { hasTaken } from "./taken.ts";

export interface RotationPorts {
  /** Notes of all hosts: from a majority of the status nodes, or with Sentinel from files. */
  readonly readNotes: () => Promise<ReadonlyMap<string, RotationNote>>;
  readonly writeNote: (host: string, note: RotationNote) => Promise<void>;
  /** For a text: where they are. */
  readonly notesPlace: string;
  /** The current content of TWINE_PASSWORD_FILE. */
  readonly readFile: () => readonly string[];
  readonly wallTime: () => string;
  /** Called with one line for each finished part. */
  readonly report: (line: string) => void;
}

export interface RotationRequest {
  /** As named by the user; absent: the hosts of this machine. */
  readonly host: string | undefined;
  readonly goal: RotationGoal;
  /** The path in TWINE_PASSWORD_FILE. */
  readonly passwordFile: string;
  /** The new password, if the caller provides it. */
  readonly given: string | undefined;
  readonly without: readonly string[];
  /** How long to wait for other hosts, ms. */
  readonly waitMs: number;
}

export type RotationOutcome = Extract<RotationStep, { kind: "wait" | "done" }>;

/** After a change of the password file, every process has read it again within this time. */
const LOOK_MS = 300;
const TAKEN_WITHIN_MS = 10_000;

/** Throws ROTATION_*, HOST_BUSY, STATUS_UNREACHABLE, FILE_UNWRITABLE. An interruption locks out no process. */
export async function rotate(
  context: LocalContext,
  request: RotationRequest,
  ports: RotationPorts,
): Promise<RotationOutcome> {
  const here = hostsToRun(context, request.host);
  const isKnown = await Promise.all(here.map((host) => isSetUp(context, host)));
  const hosts = here.filter((_, index) => isKnown[index]);
  if (hosts.length === 0) throw refusal({ code: "ROTATION_NOT_HERE", hosts: [] });
  const own = new Rotation(context, hosts, request, ports);
  await checkLive(own.nodes, own.known());
  const endMs = performance.now() + request.waitMs;
  let waitsFor = "";
  for (;;) {
    context.signal.throwIfAborted();
    const step = await own.decide();
    if (step.kind === "done") return step;
    if (step.kind === "refused") {
      await own.withdraw();
      throw refusal(step);
    }
    if (step.kind === "announce") {
      await own.note(step);
      if (step.intent === "finish") await own.noteLeftOut(step);
    } else if (step.kind === "apply") await own.apply(step);
    else if (performance.now() >= endMs) return step;
    else {
      const names = step.hosts.join(", ");
      if (names !== waitsFor)
        ports.report(`waiting for ${names}: run twine-password --${step.goal} there`);
      waitsFor = names;
      await delay(500, undefined, { signal: context.signal });
    }
  }
}

class Rotation {
  readonly nodes: readonly LiveNode[];
  readonly #context: LocalContext;
  readonly #hosts: readonly PlannedHost[];
  readonly #request: RotationRequest;
  readonly #ports: RotationPorts;

  constructor(
    context: LocalContext,
    hosts: readonly PlannedHost[],
    request: RotationRequest,
    ports: RotationPorts,
  ) {
    this.#context = context;
    this.#hosts = hosts;
    this.#request = request;
    this.#ports = ports;
    this.nodes = hosts.flatMap((host) => liveNodes(host, context.config));
  }

  /** The passwords that this machine's nodes may accept at the moment. */
  known(): readonly string[] {
    return this.#ports.readFile();
  }

  async decide(): Promise<RotationStep> {
    const { goal, given, without } = this.#request;
    const notes = await this.#ports.readNotes();
    return decideRotation({
      goal,
      hosts: this.#context.plan.hosts.map(({ name }) => name),
      here: this.#hosts.map(({ name }) => name),
      notes,
      file: this.known().map(fingerprintOf),
      given: given === undefined ? undefined : fingerprintOf(given),
      without,
    });
  }

  async apply(step: Extract<RotationStep, { kind: "apply" }>): Promise<void> {
    const { folder } = this.#context;
    const { report } = this.#ports;
    const before = this.known();
    const passwords = step.passwords.map((print) => this.#named(print, before));
    const locks = this.#hosts.map(({ name }) => lockFile(folder, name));
    await withLocks(locks, async () => {
      const file = await realpath(this.#request.passwordFile);
      if (before.join("\n") !== passwords.join("\n")) {
        await writeWhole(file, `${passwords.join("\n")}\n`, 0o600);
      }
      report(`password file: ${wordsOf(passwords.length, step.target, step.passwords)}`);
      const live = await this.#followLive(passwords, before);
      report(`nodes: ${live.changed.length} of ${this.nodes.length} changed while running`);
      const { down } = live;
      for (const host of this.#hosts) {
        await followFiles(this.#context, host, { passwords, before, down });
      }
      report("files of the nodes: written");
      await this.#followLate(live.down, passwords);
      await this.#untilTaken(passwords);
      report("monitors and routers: have it");
    });
    await this.note(step);
    report(`noted ${this.#ports.notesPlace}`);
  }

  async note({ passwords, target, intent }: Omit<RotationNote, "at">): Promise<void> {
    const at = this.#ports.wallTime();
    for (const { name } of this.#hosts) {
      await this.#ports.writeNote(name, { passwords, target, intent, at });
    }
  }

  /** Writes a note for a host that --without names and that never took part, so that it is reported from now on. */
  async noteLeftOut({ passwords, target }: Omit<RotationNote, "at">): Promise<void> {
    const notes = await this.#ports.readNotes();
    const old = passwords.filter((print) => print !== target);
    for (const host of this.#request.without) {
      if (notes.get(host)?.passwords.includes(target ?? "") === true) continue;
      const at = this.#ports.wallTime();
      await this.#ports.writeNote(host, { passwords: old, target, intent: null, at });
    }
  }

  /** Withdraws an announcement whose step was not carried out. */
  async withdraw(): Promise<void> {
    const notes = await this.#ports.readNotes();
    const { goal } = this.#request;
    for (const { name } of this.#hosts) {
      const note = notes.get(name);
      if (note?.intent === goal) await this.#ports.writeNote(name, { ...note, intent: null });
    }
  }

  /** An interrupted run may have set fewer passwords on a node, so the file's previous passwords are tried too. */
  async #followLive(passwords: readonly string[], before: readonly string[]) {
    const known =
      passwords.length > 1
        ? passwords
        : [...passwords, ...before.filter((each) => !passwords.includes(each))];
    await checkLive(this.nodes, known);
    return followLive(this.nodes, passwords);
  }

  /** A node that started in the meantime may have read its old files. */
  async #followLate(down: readonly string[], passwords: readonly string[]): Promise<void> {
    const endMs = performance.now() + TAKEN_WITHIN_MS;
    const late = this.nodes.filter(({ name }) => down.includes(name));
    if (late.length === 0) return;
    for (;;) {
      const outcome = await followLive(late, passwords);
      const context = { ...this.#context, nodes: outcome.down };
      const targets = outcome.down.length === 0 ? [] : await findTargets(context, this.#hosts);
      const starting = targets.filter(({ running }) => running !== undefined);
      if (starting.length === 0) return;
      if (performance.now() > endMs) throw notTaken(starting.map(({ service }) => service.name));
      await delay(100, undefined, { signal: this.#context.signal });
    }
  }

  /** Waits until every running monitor and router of this machine uses the password file. */
  async #untilTaken(passwords: readonly string[]): Promise<void> {
    await delay(LOOK_MS, undefined, { signal: this.#context.signal });
    const services = this.#hosts.flatMap((host) => host.services);
    const endMs = performance.now() + TAKEN_WITHIN_MS;
    for (;;) {
      const late: string[] = [];
      for (const service of services) {
        if (!(await hasTaken(service, passwords))) late.push(service.name);
      }
      if (late.length === 0) return;
      if (performance.now() > endMs) throw notTaken(late);
      await delay(200, undefined, { signal: this.#context.signal });
    }
  }

  #named(print: string, before: readonly string[]): string {
    const all = [...before, ...(this.#request.given === undefined ? [] : [this.#request.given])];
    const found = all.find((password) => fingerprintOf(password) === print);
    assert(found !== undefined, "a step names passwords that this machine has");
    return found;
  }
}

/** The nodes of every host, at the address where this machine reaches them. */
export function allNodes({ config, plan, isHere }: LocalContext): LiveNode[] {
  return plan.hosts.flatMap((host) =>
    liveNodes(host, config).map((node) =>
      isHere(host) ? node : { ...node, address: host.address },
    ),
  );
}

function liveNodes({ services }: PlannedHost, config: ClusterConfig): LiveNode[] {
  const { failover, router, partitions } = config.settings;
  const isSentinels = failover === "sentinel";
  const kindOf = ({ kind }: PlannedService): LiveNode["kind"] | undefined =>
    kind === "data" || kind === "status"
      ? kind
      : kind === "monitor" && isSentinels
        ? "sentinel"
        : undefined;
  return services.flatMap((service) => {
    const kind = kindOf(service);
    if (kind === undefined) return [];
    return {
      ...{ name: service.name, kind },
      address: askAddress(service),
      port: service.health.port,
      isDefaultOn: kind === "data" && router === "twemproxy",
      isRewriting: isSentinels,
      masters: Array.from({ length: partitions }, (_, partition) => masterName(partition)),
    };
  });
}

function wordsOf(count: number, target: string | null, [first]: readonly string[]): string {
  if (count === 1) return "one password";
  return first === target
    ? "both passwords, the new one first"
    : "both passwords, the old one first";
}

function notTaken(names: readonly string[]): TwineError {
  const problems = names.map((name): Problem => ({
    code: "ROTATION_NOT_TAKEN",
    message: `${name} did not load the changed password file`,
    remedy: `${name} runs an older version of Twine, or its TWINE_PASSWORD_FILE names another file. Restart it (twine-stop ${name} && twine-start ${name}), then run this command again`,
  }));
  return new TwineError(problems);
}
