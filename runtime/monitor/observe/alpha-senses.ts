// alpha-senses.ts: what only an alpha looks at: the notice board, status nodes, routers, and the record of offsets.
// Each is a chore of its own, so that one that hangs delays none of the others; all of them idle in a monitor that
// does not lead.
import { addressOf, nodesOf, type ClusterConfig } from "../../core/cluster.ts";
import type { Request } from "../../core/request.ts";
import type { NodeView, View } from "../../core/view.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Acceptor } from "../../register/register.ts";
import { startChore, type Chore } from "../chore.ts";
import type { NodeInfo } from "../decide/info.ts";
import type { LastSeen, Observations } from "../decide/observations.ts";
import type { Board } from "./board.ts";
import { createPeerBook, parseLastSeen, type PeerBook } from "./notices.ts";
import type { Probe } from "./tcp-probe.ts";

export interface AlphaSensesOptions {
  readonly name: string;
  readonly config: () => ClusterConfig;
  readonly clock: Clock;
  readonly acceptors: readonly Acceptor[];
  readonly board: Board;
  readonly probe: Probe;
  readonly suspects: () => ReadonlySet<string>;
  /** The last INFO of a data node, null while there is none. */
  readonly infoOf: (node: string) => NodeInfo | null;
  readonly onNews: () => void;
  readonly onTrouble: (what: string, error: unknown) => void;
}

export class AlphaSenses {
  readonly #options: AlphaSensesOptions;
  readonly #book: PeerBook;
  readonly #others = new Map<string, boolean>();
  readonly #statusSeenAtMs = new Map<string, number>();
  readonly #answered = new Set<string>();
  readonly #offsets: Chore;
  readonly #board: Chore;
  readonly #chores: readonly Chore[];
  #lastSeen: ReadonlyMap<string, LastSeen> = new Map();
  #isLastSeenRead = false;
  #requests: readonly Request[] = [];
  #leading: View | null = null;
  #leadingSinceMs = 0;
  #hurriedAtMs = -Infinity;

  constructor(options: AlphaSensesOptions) {
    this.#options = options;
    this.#book = createPeerBook(options.name);
    const halfDownAfterMs = (): number => this.#settings.downAfterMs / 2;
    this.#offsets = this.#chore(
      "offsets",
      () => 1000,
      (view) => this.#writeOffsets(view),
    );
    this.#board = this.#chore(
      "board",
      () => this.#boardEveryMs(),
      () => this.#readBoard(),
    );
    this.#chores = [
      this.#board,
      this.#chore("status nodes", halfDownAfterMs, () => this.#lookAtStatusNodes()),
      this.#chore("routers", halfDownAfterMs, (view) => this.#lookAtRouters(view)),
      this.#offsets,
    ];
  }

  get #settings(): ClusterConfig["settings"] {
    return this.#options.config().settings;
  }

  #chore(what: string, everyMs: () => number, task: (view: View) => Promise<void>): Chore {
    const whileLeading = (): Promise<void> =>
      this.#leading === null ? Promise.resolve() : task(this.#leading);
    return startChore(this.#options.clock, everyMs, whileLeading, (error) => {
      this.#options.onTrouble(what, error);
    });
  }

  /** Everything but the data nodes. */
  sensed(): Omit<Observations, "data"> {
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
    };
  }

  /** The view that the alpha leads with; null when it leads no more. */
  lead(view: View | null): void {
    const isNew = this.#leading === null && view !== null;
    // A new master's first second is recorded too.
    if (mastersOf(view) !== mastersOf(this.#leading)) this.#offsets.poke();
    this.#leading = view;
    if (!isNew) return;
    this.#leadingSinceMs = this.#options.clock.nowMs();
    this.#book.forget(this.#leadingSinceMs);
    this.#others.clear();
    this.#statusSeenAtMs.clear();
    this.#lastSeen = new Map();
    this.#isLastSeenRead = false;
    this.#requests = [];
    for (const chore of this.#chores) chore.poke();
  }

  forgetRequest(id: string): void {
    this.#answered.add(id);
    this.#requests = this.#requests.filter((request) => request.id !== id);
  }

  stop(): void {
    for (const chore of this.#chores) chore.stop();
  }

  /** Somebody has just fallen silent: whether the others hear nothing either is urgent now. */
  hurry(): void {
    this.#hurriedAtMs = this.#options.clock.nowMs();
    this.#board.poke();
  }

  /** While somebody is silent or a monitor is missing, what the others write matters, and most of all in the beginning. */
  #boardEveryMs(): number {
    const { clock, config, suspects } = this.#options;
    const { leaseMs, downAfterMs } = this.#settings;
    const hasSuspects = suspects().size > 0;
    const isNews = clock.nowMs() - this.#hurriedAtMs < downAfterMs / 2;
    if (hasSuspects && isNews) return leaseMs / 25;
    const monitors = nodesOf(config(), "monitor");
    const isMissing = monitors.some(({ name }) => this.#others.get(name) !== true);
    return leaseMs / (hasSuspects || isMissing ? 5 : 1);
  }

  async #readBoard(): Promise<void> {
    const { board, clock, onNews } = this.#options;
    if (!this.#isLastSeenRead) await this.#readOffsets();
    const [notices, asked] = await Promise.all([board.readObserved(), board.readRequests()]);
    const isAgreement = this.#book.hear(notices, clock.nowMs(), this.#options.suspects());
    if (isAgreement) onNews();
    this.#requests = asked.filter(({ id, state }) => state === "asked" && !this.#answered.has(id));
    if (this.#requests.length > 0) onNews();
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
   * Records what serving nodes hold, and replicas in sync with them: the evidence after an outage. A node that came
   * back empty must not overwrite what it was known to have, so a master counts under its run id of the view only.
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
    await this.#options.board.writeOffsets(view.epoch, new Map(record));
  }

  /** Records what serving nodes hold at this moment. */
  async record(): Promise<void> {
    if (this.#leading !== null) await this.#writeOffsets(this.#leading);
  }

  async #readOffsets(): Promise<void> {
    const record = await this.#options.board.readOffsets();
    const read = new Map<string, LastSeen>();
    for (const [name, json] of record) {
      const seen = parseLastSeen(json);
      if (seen !== undefined) read.set(name, seen);
    }
    // What this alpha has seen itself meanwhile is newer.
    this.#lastSeen = new Map([...read, ...this.#lastSeen]);
    this.#isLastSeenRead = true;
    this.#options.onNews();
  }
}

function mastersOf(view: View | null): string {
  return (view?.partitions ?? []).map(({ masterRunId }) => masterRunId ?? "").join(" ");
}
