// alpha-probes.ts: the observations of an alpha only: shared hashes, status nodes, routers, and the record of offsets.
// Each is a periodic task of its own, so that one that hangs does not delay the others. All are idle while this monitor
// does not lead.
import { addressOf, nodesOf, type ClusterConfig } from "../../core/cluster.ts";
import { heartbeatIn, isOutdated, type Request } from "../../core/request.ts";
import { isBeingSwitched } from "../../core/reshard.ts";
import type { RotationNote } from "../../core/rotation.ts";
import type { NodeView, View } from "../../core/view.ts";
import type { Clock } from "../../ports/clock.ts";
import { startPeriodicTask, type PeriodicTask } from "../../ports/periodic-task.ts";
import type { Acceptor } from "../../register/register.ts";
import type { NodeInfo } from "../decide/nodes/info.ts";
import type { LastSeen, Observations } from "../decide/nodes/observations.ts";
import type { SharedHashes } from "./shared-hashes.ts";
import { createPeerBook, parseLastSeen, type PeerBook } from "./peer-reports.ts";
import type { Probe } from "./tcp-probe.ts";

export interface AlphaProbesOptions {
  readonly name: string;
  readonly config: () => ClusterConfig;
  readonly clock: Clock;
  readonly acceptors: readonly Acceptor[];
  readonly hashes: SharedHashes;
  readonly probe: Probe;
  readonly suspects: () => ReadonlySet<string>;
  /** The last INFO of a data node; null when there is none. */
  readonly infoOf: (node: string) => NodeInfo | null;
  readonly onNews: () => void;
  readonly onTrouble: (what: string, error: unknown) => void;
}

/** A tool that asked may ask for its next step within this time. */
const ASKING_MS = 5000;
const OUTDATED =
  "it was asked too long ago by this monitor's clock; if it was asked just now, set the clocks of the hosts";

export class AlphaProbes {
  readonly #options: AlphaProbesOptions;
  readonly #book: PeerBook;
  readonly #others = new Map<string, boolean>();
  readonly #statusSeenAtMs = new Map<string, number>();
  readonly #answered = new Set<string>();
  /** Requests that this alpha may execute. */
  #taken: ReadonlySet<string> = new Set();
  readonly #offsets: PeriodicTask;
  readonly #hashes: PeriodicTask;
  readonly #tasks: readonly PeriodicTask[];
  readonly #endNews: () => void;
  #lastSeen: ReadonlyMap<string, LastSeen> = new Map();
  #isLastSeenRead = false;
  #requests: readonly Request[] = [];
  #rotation: ReadonlyMap<string, RotationNote> | undefined;
  #leading: View | null = null;
  #leadingSinceMs = 0;
  #hurriedAtMs = -Infinity;
  #askedAtMs = -Infinity;

  constructor(options: AlphaProbesOptions) {
    this.#options = options;
    this.#book = createPeerBook(options.name);
    const halfDownAfterMs = (): number => this.#settings.downAfterMs / 2;
    this.#offsets = this.#task(
      "offsets",
      () => 1000,
      (view) => this.#writeOffsets(view),
    );
    this.#hashes = this.#task(
      "shared hashes",
      () => this.#readHashesEveryMs(),
      () => this.#readHashes(),
    );
    const requests = this.#task(
      "requests",
      () => this.#readRequestsEveryMs(),
      () => this.#readRequests(),
    );
    const endNews = options.hashes.onRequestNews?.(() => {
      if (this.#leading !== null) requests.trigger();
    });
    this.#endNews = endNews ?? (() => undefined);
    this.#tasks = [
      this.#hashes,
      requests,
      this.#task("status nodes", halfDownAfterMs, () => this.#lookAtStatusNodes()),
      this.#task("routers", halfDownAfterMs, (view) => this.#lookAtRouters(view)),
      this.#offsets,
      this.#task(
        "rotation",
        () => 1000,
        () => this.#readRotation(),
      ),
    ];
  }

  get #settings(): ClusterConfig["settings"] {
    return this.#options.config().settings;
  }

  #task(what: string, everyMs: () => number, task: (view: View) => Promise<void>): PeriodicTask {
    const whileLeading = (): Promise<void> =>
      this.#leading === null ? Promise.resolve() : task(this.#leading);
    return startPeriodicTask({
      clock: this.#options.clock,
      restMs: everyMs,
      run: whileLeading,
      onError: (error) => {
        this.#options.onTrouble(what, error);
      },
    });
  }

  /** All observations except those of data nodes. */
  observed(): Omit<Observations, "data" | "cutOffForMs"> {
    const { clock, config, name: self } = this.#options;
    const nowMs = clock.nowMs();
    const { downAfterMs, leaseMs } = this.#settings;
    const aliveForMs = downAfterMs + 2 * leaseMs;
    for (const { name } of nodesOf(config(), "monitor")) {
      const isAlive = name === self || this.#book.isAlive(name, nowMs, aliveForMs);
      if (isAlive !== undefined) this.#others.set(name, isAlive);
    }
    return {
      others: new Map(this.#others),
      peers: this.#book.alive(nowMs, aliveForMs),
      lastSeen: this.#lastSeen,
      isLastSeenRead: this.#isLastSeenRead,
      requests: this.#requests,
      rotation: this.#rotation,
    };
  }

  /** `view`: the alpha's view; null when this monitor does not lead any more. */
  lead(view: View | null): void {
    const isNew = this.#leading === null && view !== null;
    // The first second of a new master is recorded too.
    if (mastersOf(view) !== mastersOf(this.#leading)) this.#offsets.trigger();
    this.#leading = view;
    if (!isNew) return;
    this.#leadingSinceMs = this.#options.clock.nowMs();
    this.#book.forget(this.#leadingSinceMs);
    this.#others.clear();
    this.#statusSeenAtMs.clear();
    this.#lastSeen = new Map();
    this.#isLastSeenRead = false;
    this.#requests = [];
    this.#taken = new Set();
    this.#rotation = undefined;
    for (const task of this.#tasks) task.trigger();
  }

  forgetRequest(id: string): void {
    this.#answered.add(id);
    this.#requests = this.#requests.filter((request) => request.id !== id);
  }

  stop(): void {
    this.#endNews();
    for (const task of this.#tasks) void task.stop();
  }

  /** A node has just become silent: read at once whether it is silent to other monitors too. */
  hurry(): void {
    this.#hurriedAtMs = this.#options.clock.nowMs();
    this.#hashes.trigger();
  }

  /** Read more often while a node is silent or a monitor is missing, and most often just after a node became silent. */
  #readHashesEveryMs(): number {
    const { clock, config, suspects } = this.#options;
    const { leaseMs, downAfterMs } = this.#settings;
    const hasSuspects = suspects().size > 0;
    const isNews = clock.nowMs() - this.#hurriedAtMs < downAfterMs / 2;
    // During a switch clients wait for the tool's next step.
    if ((hasSuspects && isNews) || isSwitching(this.#leading)) return leaseMs / 25;
    const monitors = nodesOf(config(), "monitor");
    const isMissing = monitors.some(({ name }) => this.#others.get(name) !== true);
    return leaseMs / (hasSuspects || isMissing ? 5 : 1);
  }

  async #readHashes(): Promise<void> {
    const { hashes, clock, onNews } = this.#options;
    if (!this.#isLastSeenRead) await this.#readOffsets();
    const reports = await hashes.readObserved();
    const isAgreement = this.#book.hear(reports, clock.nowMs(), this.#options.suspects());
    if (isAgreement) onNews();
  }

  /** Read most often while tools ask: one asks for one step after the other, and writes may wait for the next. */
  #readRequestsEveryMs(): number {
    const { leaseMs } = this.#settings;
    return leaseMs / (this.#options.clock.nowMs() - this.#askedAtMs < ASKING_MS ? 25 : 5);
  }

  async #readRequests(): Promise<void> {
    const { hashes, clock, onNews } = this.#options;
    const read = await hashes.readRequests();
    const heard = read.filter((request) => isHeard(request) && !this.#answered.has(request.id));
    const asked = await this.#takenOf(heard);
    const before = new Set(this.#requests.map(questionOf));
    this.#requests = asked.filter(({ id }) => !this.#answered.has(id));
    const news = this.#requests.filter(
      (request) => request.state === "asked" && !before.has(questionOf(request)),
    );
    if (news.length === 0) return;
    this.#askedAtMs = clock.nowMs();
    if (!news.every(isBeat)) onNews();
  }

  /** Without those that were withdrawn meanwhile, or whose tool is gone. */
  async #takenOf(heard: readonly Request[]): Promise<readonly Request[]> {
    const { hashes, clock } = this.#options;
    const wallMs = Date.parse(clock.wallTime());
    const isTaken = await Promise.all(
      heard.map(async (request) => {
        if (isBeat(request) || this.#taken.has(request.id)) return true;
        if (!isOutdated(request, wallMs)) return hashes.takeRequest(request);
        const refused = { ...request, state: "refused", message: OUTDATED } as const;
        // If no node accepts it, the next reading tries again.
        await hashes.answerRequest(refused).catch(() => undefined);
        return false;
      }),
    );
    const taken = heard.filter((_request, index) => isTaken[index] === true);
    this.#taken = new Set(taken.map(({ id }) => id));
    return taken;
  }

  /** Information for people: no decision depends on it. */
  async #readRotation(): Promise<void> {
    const notes = await this.#options.hashes.readRotation?.();
    if (notes === undefined) return;
    const read = [...notes].map(
      ([host, json]) => [host, JSON.parse(json) as RotationNote] as const,
    );
    this.#rotation = new Map(read);
  }

  /** A status node is dead when it has not answered a read for down-after. */
  async #lookAtStatusNodes(): Promise<void> {
    const { acceptors, clock } = this.#options;
    const look = async (acceptor: Acceptor): Promise<void> => {
      const isUp = await acceptor.read(false).then(
        (state) => state.stamp !== null,
        () => false,
      );
      const nowMs = clock.nowMs();
      if (isUp) this.#statusSeenAtMs.set(acceptor.name, nowMs);
      const seenAtMs = this.#statusSeenAtMs.get(acceptor.name) ?? this.#leadingSinceMs;
      if (isUp) this.#others.set(acceptor.name, true);
      else if (nowMs - seenAtMs >= this.#settings.downAfterMs) {
        this.#others.set(acceptor.name, false);
      }
    };
    await Promise.all(acceptors.map(look));
  }

  async #lookAtRouters(view: View): Promise<void> {
    const routers = view.nodes.filter(({ kind }) => kind === "router");
    const look = async ({ name, host, port }: NodeView): Promise<void> => {
      const isUp = await this.#options.probe(addressOf(host), port, this.#settings.downAfterMs);
      this.#others.set(name, isUp);
    };
    await Promise.all(routers.map(look));
  }

  /**
   * Records the data of masters and of replicas in sync: the evidence after an outage. A node that came back empty must not
   * overwrite its record, so a master counts only with its run id in the view.
   */
  async #writeOffsets(view: View): Promise<void> {
    const masters = new Map(view.partitions.map((partition) => [partition.master, partition]));
    const seen = new Map<string, LastSeen>();
    for (const { name, role, inSync } of view.nodes) {
      const info = this.#options.infoOf(name);
      if (info === null || (role !== "master" && role !== "replica") || !inSync) continue;
      const isMaster = info.role === "master" && info.runId === masters.get(name)?.masterRunId;
      if (role === "master" && !isMaster) continue;
      const { replicationId, offset, keys } = info;
      seen.set(name, { replicationId, offset, keys });
    }
    if (seen.size === 0) return;
    this.#lastSeen = new Map([...this.#lastSeen, ...seen]);
    const record = [...seen].map(([name, entry]) => [name, JSON.stringify(entry)] as const);
    await this.#options.hashes.writeOffsets(view.epoch, new Map(record));
  }

  /** Records the data of masters and replicas in sync now. */
  async record(): Promise<void> {
    if (this.#leading !== null) await this.#writeOffsets(this.#leading);
  }

  async #readOffsets(): Promise<void> {
    const record = await this.#options.hashes.readOffsets();
    const read = new Map<string, LastSeen>();
    for (const [name, json] of record) {
      const seen = parseLastSeen(json);
      if (seen !== undefined) read.set(name, seen);
    }
    // What this alpha has recorded itself meanwhile is newer.
    this.#lastSeen = new Map([...read, ...this.#lastSeen]);
    this.#isLastSeenRead = true;
    this.#options.onNews();
  }
}

function isSwitching(view: View | null): boolean {
  return isBeingSwitched(view?.reshard);
}

function mastersOf(view: View | null): string {
  return (view?.partitions ?? []).map(({ masterRunId }) => masterRunId ?? "").join(" ");
}

/** Differs for each question, and for each count of a heartbeat: that of a killed tool stays, and its count too. */
function questionOf({ id, body }: Request): string {
  const beat = heartbeatIn(body);
  return beat === undefined ? id : `${id} ${beat.count}`;
}

function isBeat({ body }: Request): boolean {
  return heartbeatIn(body) !== undefined;
}

/** Asks for something, or is the end of a tool's heartbeat, which that tool answers itself. */
function isHeard(request: Request): boolean {
  return request.state === "asked" || isBeat(request);
}
