// load-targets.ts: the masters of the running cluster, as targets of a load: what they hold, and whether it is safe.
import { addressOf } from "../../core/cluster.ts";
import { credentialsOf, type Secret } from "../../core/credentials.ts";
import { TwineError } from "../../core/errors.ts";
import type { HistoryMark, NodeView, View } from "../../core/view.ts";
import type { Clock } from "../../ports/clock.ts";
import type { LinkTls } from "../../ports/link-tls.ts";
import { NodeError, type NodeErrorKind } from "../../replication/node-error.ts";
import { infoOf } from "../../replication/node-info.ts";
import { openNodeSocket, type NodeSocket } from "../../replication/node-socket.ts";
import { openNodeTarget, type MoveTarget, type Words } from "../target.ts";
import { placeOfView } from "../view-place.ts";
import { has, markIn, replicasAt } from "./history.ts";
import { changed } from "./load-errors.ts";
import type { OwnWrites } from "./own-writes.ts";

export interface TargetPorts {
  readonly ownWrites: OwnWrites;
  readonly password: Secret | undefined;
  readonly tls: LinkTls | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

interface Target {
  readonly partition: number;
  readonly node: NodeView;
  readonly target: MasterTarget;
  /** For questions: the target's own connection only writes. */
  readonly asked: NodeSocket;
}

const SILENCE_MS_MAX = 60_000;

export class LoadTargets {
  readonly view: View;
  readonly partitionOf: (key: Uint8Array) => number;
  readonly #targets: Target[];

  private constructor(view: View, partitionOf: (key: Uint8Array) => number, targets: Target[]) {
    this.view = view;
    this.partitionOf = partitionOf;
    this.#targets = targets;
  }

  /** Throws NodeError, LOAD_CHANGED while a partition has no master, and LOAD_TARGET_BAD. */
  static async open(view: View, ports: TargetPorts): Promise<LoadTargets> {
    const partitionOf = placeOfView(view);
    if (partitionOf === undefined) {
      throw targetBad(
        "the cluster's hash is a module or an executable",
        "twine-load divides keys by a built-in hash only; copy through a router instead",
      );
    }
    const targets: Target[] = [];
    const opened = new LoadTargets(view, partitionOf, targets);
    try {
      for (const { index, master } of view.partitions) {
        const node = view.nodes.find(({ name }) => name === master);
        if (node === undefined) throw changed(`partition ${index} has no master`);
        targets.push(await openTarget(index, node, ports));
      }
      return opened;
    } catch (error) {
      opened.close();
      throw error;
    }
  }

  /** By partition. */
  get targets(): readonly MoveTarget[] {
    return this.#targets.map(({ target }) => target);
  }

  /** For questions, by partition. */
  get asked(): readonly NodeSocket[] {
    return this.#targets.map(({ asked }) => asked);
  }

  /** What each holds in the partition's database. */
  async keys(): Promise<{ readonly name: string; readonly keys: number }[]> {
    return Promise.all(
      this.#targets.map(async ({ node, asked }) => {
        const fields = await infoOf(asked, "keyspace");
        const text = fields.get(`db${node.db ?? 0}`) ?? "";
        return { name: node.name, keys: Number(/keys=(\d+)/.exec(text)?.[1] ?? 0) };
      }),
    );
  }

  /** Removes all keys of the cluster. */
  async empty(): Promise<void> {
    await Promise.all(
      this.#targets.map(async ({ target, node }) => {
        const [refusal] = (await target.send([["FLUSHDB", "ASYNC"]])).values();
        if (refusal !== undefined) {
          throw targetBad(`${node.name} can't be emptied: ${refusal.message}`, "run it again");
        }
      }),
    );
  }

  ping(): Promise<unknown> {
    return Promise.all(this.#targets.map(({ target }) => target.send([["PING"]])));
  }

  /** Behind everything that was written so far. */
  marks(): Promise<HistoryMark[]> {
    return Promise.all(
      this.#targets.map(async ({ asked }) => markIn(await infoOf(asked, "replication"))),
    );
  }

  /** All that was written up to the marks would survive a failover now. */
  async areSafe(marks: readonly HistoryMark[], view: View): Promise<boolean> {
    const found = await Promise.all(
      this.#targets.map(async ({ partition, asked }) => {
        const inSync = view.nodes.filter(
          (node) => node.partition === partition && node.role === "replica" && node.inSync,
        );
        const offset = marks[partition]?.offset ?? Infinity;
        return replicasAt(await infoOf(asked, "replication"), offset) >= inSync.length;
      }),
    );
    return found.every(Boolean);
  }

  /** The present masters have all that was written up to the marks. */
  async have(marks: readonly HistoryMark[]): Promise<boolean> {
    const found = await Promise.all(
      this.#targets.map(async ({ partition, asked }) => {
        const mark = marks[partition];
        return mark !== undefined && has(await infoOf(asked, "replication"), mark);
      }),
    );
    return found.every(Boolean) && marks.length === this.#targets.length;
  }

  /** Everything that was sent has a reply, or none comes. */
  async settle(): Promise<void> {
    await Promise.all(this.#targets.map(({ target }) => target.settled));
  }

  close(): void {
    for (const { target, asked } of this.#targets) {
      target.close();
      asked.destroy();
    }
  }
}

/** Throws LOAD_CHANGED when the newer view has other masters. Pure. */
export function requireSameMasters(before: View, now: View): void {
  for (const { index, master } of before.partitions) {
    const present = now.partitions.find((one) => one.index === index)?.master ?? null;
    if (present !== master) {
      throw changed(`partition ${index} has ${present === null ? "no" : "a new"} master`);
    }
    const runIdIn = (view: View) => view.nodes.find(({ name }) => name === master)?.runId;
    if (runIdIn(before) !== runIdIn(now)) throw changed(`${master} was started again`);
  }
}

async function openTarget(partition: number, node: NodeView, ports: TargetPorts): Promise<Target> {
  const { password, ownWrites, ...rest } = ports;
  const credentials = credentialsOf("app", password);
  const options = { ...rest, credentials, silenceMsMax: SILENCE_MS_MAX };
  const address = { host: addressOf(node.host), port: node.port };
  const asked = await openNodeSocket(address, options);
  try {
    const { db } = node;
    const plain = await openNodeTarget(address, { ...options, db: db ?? 0 });
    return {
      partition,
      node,
      asked,
      target: new MasterTarget(node.name, plain, partition, ownWrites),
    };
  } catch (error) {
    asked.destroy();
    throw error;
  }
}

const LATER: ReadonlySet<NodeErrorKind> = new Set([
  ...(["not-now", "master-down", "loading", "denied"] as const),
]);

/** A master that may be replaced, or full. */
class MasterTarget implements MoveTarget {
  readonly #name: string;
  readonly #target: MoveTarget;
  readonly #partition: number;
  readonly #ownWrites: OwnWrites;
  #settled: Promise<void> = Promise.resolve();

  constructor(name: string, target: MoveTarget, partition: number, ownWrites: OwnWrites) {
    this.#name = name;
    this.#target = target;
    this.#partition = partition;
    this.#ownWrites = ownWrites;
  }

  /** Never rejects. */
  get settled(): Promise<void> {
    return this.#settled;
  }

  async send(commands: readonly Words[]): Promise<ReadonlyMap<number, NodeError>> {
    // Replies come in the order of the calls.
    const sent = this.#target.send(commands);
    this.#settled = sent.then(
      () => {
        this.#ownWrites.answered(this.#partition, commands);
      },
      () => {
        this.#ownWrites.lost();
      },
    );
    const refusals = await sent;
    for (const { kind, message } of refusals.values()) {
      if (LATER.has(kind)) throw new NodeError(kind, `${this.#name}: ${message}`);
      if (kind === "full") throw full(this.#name, message);
    }
    return refusals;
  }

  close(): void {
    this.#target.close();
  }
}

function full(name: string, reply: string): TwineError {
  return new TwineError({
    code: "LOAD_TARGET_FULL",
    message: `${name} is full: ${reply}`,
    remedy: "raise maxmemory there, or take more partitions, and run twine-load again",
  });
}

export function targetBad(message: string, remedy: string): TwineError {
  return new TwineError({ code: "LOAD_TARGET_BAD", message, remedy });
}
