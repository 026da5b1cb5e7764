// observer.ts: everything that one monitor sees, gathered in the background and handed over as plain data.
//
//   watches (one per data node)  ─┐
//   notice board (peers, requests)├─> observations() -> decide
//   status nodes, routers        ─┘
//
// A watching monitor only takes signs of life of the data nodes and writes its notice; as alpha it asks for INFO, reads
// the board, and looks at status nodes and routers. Nothing here waits for anything there: a hung node costs nobody.
import { addressOf, nodesOf, type ClusterConfig } from "../../core/cluster.ts";
import type { Credentials } from "../../core/credentials.ts";
import type { Request } from "../../core/request.ts";
import type { NodeView, View } from "../../core/view.ts";
import type { Clock } from "../../ports/clock.ts";
import type { OpenLink } from "../../ports/redis-link.ts";
import type { Acceptor } from "../../register/register.ts";
import { startChore, type Chore } from "../chore.ts";
import type { LastSeen, Observations, Sight } from "../decide/observations.ts";
import { suspectsOf } from "../decide/standing.ts";
import type { Emit } from "../emit.ts";
import type { Board } from "./board.ts";
import { createPeerBook, parseLastSeen } from "./notices.ts";
import { watchNode, type NodeWatch } from "./node-watch.ts";
import { unsettledNodes } from "./pace.ts";
import type { Probe } from "./tcp-probe.ts";

export interface ObserverOptions {
  readonly name: string;
  /** Says which run of this monitor writes; no two runs share it. */
  readonly run: string;
  readonly config: () => ClusterConfig;
  readonly confDigest: () => string;
  readonly credentials: Credentials | undefined;
  readonly clock: Clock;
  readonly openLink: OpenLink;
  readonly acceptors: readonly Acceptor[];
  readonly board: Board;
  readonly probe: Probe;
  readonly emit: Emit;
  /** Something is worth a decision before the next tick. */
  readonly onNews: () => void;
  /** A background task failed in a way that it does not handle itself. */
  readonly onTrouble: (what: string, error: unknown) => void;
}

export interface Observer {
  observations(): Observations;
  /** What the alpha works on: its nodes are watched closely, and the hurried ones closer. null: only watch. */
  lead(view: View | null): void;
  /** Look at this node now. */
  poke(node: string): void;
  /** After a changed twine.conf. */
  reload(): void;
  /** Answered by the alpha: not read again from the board's older copies. */
  forgetRequest(id: string): void;
  stop(): void;
}

type WatchedNode = Pick<NodeView, "name" | "host" | "port">;

export function createObserver(options: ObserverOptions): Observer {
  const { clock } = options;
  const watches = new Map<string, NodeWatch>();
  const book = createPeerBook(options.name);
  const others = new Map<string, boolean>();
  const statusSeenAtMs = new Map<string, number>();
  let lastSeen = new Map<string, LastSeen>();
  let requests: readonly Request[] = [];
  const answered = new Set<string>();
  let suspects = new Set<string>();
  let leading: View | null = null;
  let leadingSinceMs = 0;
  let unsettled: ReadonlySet<string> = new Set();
  let sequence = 0;

  const settings = (): ClusterConfig["settings"] => options.config().settings;
  const aliveForMs = (): number => settings().downAfterMs + 2 * settings().leaseMs;

  /** Resting times. The alpha's hurry is shared among all hurried nodes, about a question per millisecond. */
  const restMs = (name: string, reach: "up" | "refused"): number => {
    const { downAfterMs } = settings();
    if (reach === "refused") return Math.max(50, watches.size);
    if (leading === null) return downAfterMs / 4;
    return unsettled.has(name) ? Math.max(20, unsettled.size) : Math.min(200, downAfterMs / 4);
  };

  const sights = (): Map<string, Sight> =>
    new Map([...watches].map(([name, watch]) => [name, watch.sight()]));

  const noteSuspects = (): void => {
    const now = new Set(suspectsOf(sights()));
    const begun = [...now].filter((name) => !suspects.has(name));
    const ended = [...suspects].filter((name) => !now.has(name));
    suspects = now;
    for (const node of begun) options.emit("+suspect", { node });
    for (const node of ended) options.emit("-suspect", { node });
    if (begun.length + ended.length > 0) notice.poke();
  };

  const syncWatches = (): void => {
    const wanted = new Map<string, WatchedNode>();
    for (const node of nodesOf(options.config(), "data")) wanted.set(node.name, node);
    // What the view says of a node is what the cluster runs by, whatever this monitor's file says.
    for (const node of leading?.nodes ?? []) if (node.kind === "data") wanted.set(node.name, node);
    for (const [name, watch] of watches) {
      const node = wanted.get(name);
      if (node?.port === watch.address.port && addressOf(node.host) === watch.address.host)
        continue;
      watch.close();
      watches.delete(name);
    }
    for (const node of wanted.values()) {
      if (!watches.has(node.name)) watches.set(node.name, openWatch(node));
    }
  };
  const openWatch = (node: WatchedNode): NodeWatch =>
    watchNode({
      address: { host: addressOf(node.host), port: node.port },
      credentials: options.credentials,
      clientName: `twined-watch:${options.name}`,
      clock,
      openLink: options.openLink,
      downAfterMs: () => settings().downAfterMs,
      restMs: (reach) => restMs(node.name, reach),
      wantsInfo: () => leading !== null,
      onNews: () => {
        if (leading !== null && unsettled.has(node.name)) options.onNews();
        else if (suspects.has(node.name)) noteSuspects();
        const isGone = watches.get(node.name)?.sight().reach === "refused";
        if (isGone) {
          noteSuspects();
          options.onNews();
        }
      },
    });

  const writeNotice = async (): Promise<void> => {
    noteSuspects();
    sequence += 1;
    const notice = {
      sequence: `${options.run} ${sequence}`,
      confDigest: options.confDigest(),
      suspects: [...suspects],
    };
    await options.board.writeObserved(options.name, JSON.stringify(notice));
  };

  const readBoard = async (): Promise<void> => {
    if (leading === null) return;
    const [notices, asked] = await Promise.all([
      options.board.readObserved(),
      options.board.readRequests(),
    ]);
    book.hear(notices, clock.nowMs());
    requests = asked.filter(({ id, state }) => state === "asked" && !answered.has(id));
    if (requests.length > 0) options.onNews();
  };

  /** A status node is dead when it has not answered a read for down-after. */
  const lookAtStatusNodes = async (): Promise<void> => {
    if (leading === null) return;
    await Promise.all(
      options.acceptors.map(async (acceptor) => {
        const isUp = await acceptor.read(false).then(
          (state) => state.stamp !== null,
          () => false,
        );
        const nowMs = clock.nowMs();
        if (isUp) statusSeenAtMs.set(acceptor.name, nowMs);
        const seenAtMs = statusSeenAtMs.get(acceptor.name) ?? leadingSinceMs;
        if (isUp) others.set(acceptor.name, true);
        else if (nowMs - seenAtMs >= settings().downAfterMs) others.set(acceptor.name, false);
      }),
    );
  };

  const lookAtRouters = async (): Promise<void> => {
    const routers = leading?.nodes.filter(({ kind }) => kind === "router") ?? [];
    await Promise.all(
      routers.map(async ({ name, host, port }) => {
        others.set(name, await options.probe(addressOf(host), port, settings().downAfterMs));
      }),
    );
  };

  /** Only of nodes that serve or hold what a serving one holds: a node that came back empty must not overwrite what
      it was known to have. */
  const writeOffsets = async (): Promise<void> => {
    if (leading === null) return;
    const record = new Map<string, string>();
    for (const { name, role, inSync } of leading.nodes) {
      const info = watches.get(name)?.sight().info ?? null;
      if (info === null || !(role === "master" || (role === "replica" && inSync))) continue;
      if (role === "master" && info.role !== "master") continue;
      const isOfView = leading.partitions.some(
        ({ master, masterRunId }) => master === name && masterRunId !== info.runId,
      );
      if (isOfView) continue;
      const { replicationId, offset, keys } = info;
      const seen = { replicationId, offset, keys };
      lastSeen.set(name, seen);
      record.set(name, JSON.stringify(seen));
    }
    if (record.size > 0) await options.board.writeOffsets(record);
  };

  const chores: Chore[] = [];
  const chore = (what: string, everyMs: () => number, task: () => Promise<void>): Chore => {
    const started = startChore(clock, everyMs, task, (error) => {
      options.onTrouble(what, error);
    });
    chores.push(started);
    return started;
  };
  const halfDownAfterMs = (): number => settings().downAfterMs / 2;
  // While somebody is silent or a monitor is missing, what the others write is urgent.
  const boardEveryMs = (): number => {
    const isMissing = nodesOf(options.config(), "monitor").some(({ name }) => !others.get(name));
    return settings().leaseMs / (suspects.size > 0 || isMissing ? 5 : 1);
  };
  // A monitor shows that it lives by a notice that changes; a new one is quick about its first changes.
  const noticeEveryMs = (): number => settings().leaseMs / (sequence < 5 ? 5 : 1);
  syncWatches();
  const notice = chore("notice", noticeEveryMs, writeNotice);
  const board = chore("board", boardEveryMs, readBoard);
  const status = chore("status nodes", halfDownAfterMs, lookAtStatusNodes);
  const routers = chore("routers", halfDownAfterMs, lookAtRouters);
  chore("offsets", () => 1000, writeOffsets);
  // Silence makes no event: it has to be looked for.
  chore(
    "suspects",
    () => settings().leaseMs / 5,
    () => {
      noteSuspects();
      return Promise.resolve();
    },
  );

  const begin = async (): Promise<void> => {
    const record = await options.board.readOffsets();
    const read = new Map<string, LastSeen>();
    for (const [name, json] of record) {
      const seen = parseLastSeen(json);
      if (seen !== undefined) read.set(name, seen);
    }
    // What this alpha has seen itself meanwhile is newer.
    lastSeen = new Map([...read, ...lastSeen]);
  };

  return {
    observations: () => {
      const nowMs = clock.nowMs();
      const monitors = nodesOf(options.config(), "monitor");
      for (const { name } of monitors) {
        const isAlive = name === options.name || book.isAlive(name, nowMs, aliveForMs());
        if (isAlive !== undefined) others.set(name, isAlive);
      }
      const peers = book.alive(nowMs, aliveForMs());
      return { data: sights(), others: new Map(others), peers, lastSeen, requests };
    },
    lead: (view) => {
      const isNew = leading === null && view !== null;
      leading = view;
      unsettled = view === null ? new Set() : unsettledNodes(view, sights());
      if (isNew) {
        leadingSinceMs = clock.nowMs();
        book.forget(leadingSinceMs);
        others.clear();
        statusSeenAtMs.clear();
        lastSeen = new Map();
        requests = [];
        startLeading();
      }
      syncWatches();
    },
    poke: (node) => {
      watches.get(node)?.poke();
    },
    reload: () => {
      syncWatches();
      notice.poke();
    },
    forgetRequest: (id) => {
      answered.add(id);
      requests = requests.filter((request) => request.id !== id);
    },
    stop: () => {
      for (const each of chores) each.stop();
      for (const watch of watches.values()) watch.close();
    },
  };

  function startLeading(): void {
    for (const watch of watches.values()) watch.refresh();
    for (const each of [board, status, routers]) each.poke();
    begin().catch((error: unknown) => {
      options.onTrouble("offsets", error);
    });
  }
}
