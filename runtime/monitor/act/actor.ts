// actor.ts: carries out an alpha's actions on data nodes; one actor per epoch.
//
//   fence a node: connect as twined:NAME:EPOCH, close what earlier alphas still hold there
//   act:          fence the whole partition first, check lease and epoch, send
//
// Invariant: nothing is sent unless the lease stands in that very moment, and no connection of this file ever
// reconnects: an alpha that was paused finds its connections closed by its successor, and what it was about to send
// has nowhere to go. What is left is the time between the check and the server's reading of the command.
import type { Credentials } from "../../core/credentials.ts";
import type { Clock } from "../../ports/clock.ts";
import type { OpenLink, RedisLink } from "../../ports/redis-link.ts";
import type { Action } from "../decide/actions.ts";
import type { Emit } from "../emit.ts";

export interface ActorOptions {
  readonly monitor: string;
  readonly epoch: number;
  readonly leaseMs: number;
  readonly credentials: Credentials | undefined;
  readonly clock: Clock;
  readonly openLink: OpenLink;
  readonly emit: Emit;
  /** Whether the lease of this epoch stands now. */
  readonly mayAct: () => boolean;
  /** An action on this node was answered: look at it again. */
  readonly onActed: (node: string) => void;
}

export interface FenceTarget {
  readonly node: string;
  readonly partition: number;
  readonly host: string;
  readonly port: number;
}

export interface Actor {
  /** Fences nodes that this epoch has not fenced yet. */
  fence(targets: readonly FenceTarget[]): void;
  /** Starts what is not under way already; returns at once. */
  act(actions: readonly Action[]): void;
  close(): void;
}

/** What an actor knows of one node. */
interface Hold {
  readonly target: FenceTarget;
  link: Promise<RedisLink>;
  isBusy: boolean;
  /** An action was answered then; an INFO asked for earlier is out of date. */
  doneAtMs: number;
  /** Not before then: a node that refuses is not asked a thousand times a second. */
  retryAtMs: number;
}

export function createActor(options: ActorOptions): Actor {
  const { clock, emit } = options;
  const holds = new Map<string, Hold>();
  let isClosed = false;

  const open = async (target: FenceTarget): Promise<RedisLink> => {
    const link = await options.openLink(target, {
      credentials: options.credentials,
      clientName: `twined:${options.monitor}:${options.epoch}`,
      connectTimeoutMs: options.leaseMs,
      commandTimeoutMs: 2 * options.leaseMs,
    });
    if (isClosed) link.close();
    const closed = await closeEarlierAlphas(link, options.epoch);
    if (closed > 0) emit("+fence", { node: target.node, links: closed });
    return link;
  };
  const holdOf = (target: FenceTarget): Hold => {
    const known = holds.get(target.node);
    if (known !== undefined) return known;
    const link = open(target);
    // Whoever needs the link sees the failure; a fence that nobody waits for is simply tried again later.
    link.catch(() => holds.delete(target.node));
    const hold = { target, link, isBusy: false, doneAtMs: -1, retryAtMs: 0 };
    holds.set(target.node, hold);
    return hold;
  };
  const standingLink = async (hold: Hold): Promise<RedisLink> => {
    const link = await hold.link;
    if (link.isOpen) return link;
    hold.link = open(hold.target);
    return hold.link;
  };

  const carryOut = async (action: Action, hold: Hold): Promise<void> => {
    const siblings = [...holds.values()].filter(
      (other) => other.target.partition === action.partition,
    );
    await Promise.allSettled(siblings.map((other) => other.link));
    const link = await standingLink(hold);
    if (isClosed || !options.mayAct()) return;
    const [host, port] = leaderOf(action);
    await link.call("REPLICAOF", host, port);
    hold.doneAtMs = clock.nowMs();
    emitAction(emit, action);
    options.onActed(action.node);
  };
  const start = (action: Action): void => {
    const hold = holdOf(action);
    const isOld = action.askedAtMs <= hold.doneAtMs;
    if (hold.isBusy || isOld || clock.nowMs() < hold.retryAtMs) return;
    hold.isBusy = true;
    carryOut(action, hold)
      .catch((error: unknown) => {
        hold.retryAtMs = clock.nowMs() + options.leaseMs / 5;
        const why = error instanceof Error ? error.message : String(error);
        if (!isClosed) emit("-act", { node: action.node, action: action.kind, why });
      })
      .finally(() => {
        hold.isBusy = false;
      });
  };

  return {
    fence: (targets) => {
      for (const target of targets) holdOf(target);
    },
    act: (actions) => {
      for (const action of actions) start(action);
    },
    close: () => {
      isClosed = true;
      for (const hold of holds.values()) {
        hold.link.then(
          (link) => {
            link.close();
          },
          () => undefined,
        );
      }
    },
  };
}

function leaderOf(action: Action): [string, string | number] {
  switch (action.kind) {
    case "promote":
      return ["NO", "ONE"];
    case "detach":
      return ["127.0.0.1", 1];
    case "repoint":
      return [action.master.host, action.master.port];
  }
}

function emitAction(emit: Emit, action: Action): void {
  const { node } = action;
  switch (action.kind) {
    case "promote":
      emit("+told", { node });
      break;
    case "detach":
      emit("+detach", { node });
      break;
    case "repoint":
      emit("+repoint", { node, master: action.master.name });
      break;
  }
}

/** Closes the connections named twined:NAME:EPOCH of lower epochs; answers how many. */
async function closeEarlierAlphas(link: RedisLink, epoch: number): Promise<number> {
  const list = await link.call("CLIENT", "LIST", "TYPE", "normal");
  const earlier = typeof list === "string" ? earlierAlphas(list, epoch) : [];
  for (const id of earlier) await link.call("CLIENT", "KILL", "ID", id);
  return earlier.length;
}

/** Ids of the connections in a CLIENT LIST that alphas of lower epochs hold. */
export function earlierAlphas(clientList: string, epoch: number): string[] {
  const ids: string[] = [];
  for (const line of clientList.split("\n")) {
    const found = /^id=(\d+) .*\bname=twined:[^: ]+:(\d+)( |$)/.exec(line);
    if (found !== null && Number(found[2]) < epoch) ids.push(found[1] ?? "");
  }
  return ids;
}
