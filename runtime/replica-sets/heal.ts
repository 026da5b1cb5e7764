// heal.ts: decides the master of one replica set and the commands for its members. Pure.
//
//   INFO of every member --> the master: the known one, or another that is master already, or one to promote
//                        --> the others: REPLICAOF the master, if they follow another node
//
// A RedCluster decides alone, without a majority. Several of them agree because all use the same rule on the members' own
// INFO: an existing master is adopted, however it became master; of two masters the one with more followers wins.
//
// A member that follows a live node outside the set, directly or through other members, belongs to another set: a wrong
// port in a list must not detach it. It is not promoted and gets no command, but is reported. The same holds for a member
// that follows a dead outside node and has another history than the set: it may have the last copy of foreign data. If a
// set consists only of such members, its master was removed from the list: then the one with the highest offset is
// promoted.
import { infoFields } from "../resp/info-fields.ts";

/** A member's INFO replication. */
export interface MemberInfo {
  readonly runId: string;
  readonly role: "master" | "replica";
  /** host:port of a replica's master; null for a master. */
  readonly following: string | null;
  /** The replication id. A replica whose link is up has its master's, whatever address it uses for it. */
  readonly historyId: string;
  /** The replication id before its promotion, which replicas may still have; all zeros if there was none. */
  readonly formerHistoryId: string;
  readonly isLinkUp: boolean;
  /** Its data is being replaced, or loaded from disk. */
  readonly isIncomplete: boolean;
  /** Its replica-priority is 0: it must not be promoted. */
  readonly isBarred: boolean;
  readonly offset: number;
  /** It is a master that followed another node before. */
  readonly wasPromoted: boolean;
}

export interface MemberState {
  /** Its name: host:port. */
  readonly name: string;
  /** refused: no process listens there. silent: no reply for this long. */
  readonly state: MemberInfo | "refused" | { readonly silentMs: number };
}

export interface Healing {
  /** The node that serves writes now; undefined if there is none. */
  readonly master: string | undefined;
  /** The node to promote before any other action. */
  readonly promote: string | undefined;
  /** Nodes that must follow the master, or the node to promote. */
  readonly repoint: readonly string[];
  /** Two masters that no rule distinguishes. Only for a set whose master is not known yet. */
  readonly conflict: readonly string[];
  /** Members with the data of a node outside the set, which they follow: not changed. */
  readonly strangers: readonly Stranger[];
}

export interface Stranger {
  readonly name: string;
  /** host:port of that node. */
  readonly follows: string;
  readonly isAlive: boolean;
}

const nobody = { master: undefined, promote: undefined, repoint: [], conflict: [] } as const;

interface Reached {
  readonly name: string;
  readonly info: MemberInfo;
}

export interface HealOptions {
  /** The present master; undefined at the beginning. */
  readonly known: string | undefined;
  /** The configured master, which is expected then. */
  readonly configured: string;
  readonly downAfterMs: number;
  /** Nodes outside the set, host:port, that reply. */
  readonly aliveOutside: ReadonlySet<string>;
}

export function heal(members: readonly MemberState[], options: HealOptions): Healing {
  const reached = reachedOf(members);
  const strangers = strangersOf(members, options.aliveOutside);
  const own = reached.filter(({ name }) => !strangers.some((stranger) => stranger.name === name));
  return { ...healOwn(members, reached, own, options), strangers };
}

function reachedOf(members: readonly MemberState[]): Reached[] {
  return members.flatMap(({ name, state }): Reached[] =>
    typeof state === "object" && "role" in state ? [{ name, info: state }] : [],
  );
}

function healOwn(
  members: readonly MemberState[],
  reached: readonly Reached[],
  own: readonly Reached[],
  { known, configured, downAfterMs }: HealOptions,
): Omit<Healing, "strangers"> {
  const masters = reached.filter(({ info }) => info.role === "master");
  const { chosen, isClash } = chooseMaster(masters, reached, known ?? configured);
  if (isClash && known === undefined) {
    return { ...nobody, conflict: masters.map(({ name }) => name) };
  }
  const serving = isClash ? known : chosen;
  if (serving !== undefined && !isUnsure(members, known, serving, downAfterMs)) {
    return { ...nobody, master: serving, repoint: strayFrom(own, serving) };
  }
  const old = members.find(({ name }) => name === (known ?? configured));
  if (old !== undefined && !isLost(old, downAfterMs)) return { ...nobody, master: known };
  const candidate = furthest(own);
  if (candidate === undefined) return nobody;
  const repoint = own.map(({ name }) => name).filter((name) => name !== candidate);
  return { ...nobody, promote: candidate, repoint };
}

/** Addresses outside the set that members follow without a link: the caller must check whether these nodes are alive. */
export function followedOutside(members: readonly MemberState[]): string[] {
  const names = new Set(members.map(({ name }) => name));
  const followed = reachedOf(members).flatMap(({ info }) =>
    info.following === null || info.isLinkUp || names.has(info.following) ? [] : [info.following],
  );
  return [...new Set(followed)];
}

/** The strangers are: 1. Members that follow an outside address with a link that is up, unless they have the history of
    one of the set's masters: then this is another address of that master. 2. Members that follow an outside address
    without a link, if that node is alive or the set's other members have another history. 3. Members that follow a
    stranger. */
function strangersOf(
  members: readonly MemberState[],
  aliveOutside: ReadonlySet<string>,
): readonly Stranger[] {
  const names = new Set(members.map(({ name }) => name));
  const reached = reachedOf(members);
  const histories = historiesOf(reached.filter(({ info }) => info.role === "master"));
  const inside = historiesOf(reached.filter(({ info }) => names.has(info.following ?? "")));
  const ours = new Set([...histories, ...inside]);
  const strangers = new Map<string, Omit<Stranger, "name">>();
  for (const { name, info } of reached) {
    const { following, isLinkUp, historyId } = info;
    if (following === null || names.has(following)) continue;
    const isAlive = isLinkUp || aliveOutside.has(following);
    const isForeign = isLinkUp
      ? !histories.has(historyId)
      : isAlive || (ours.size > 0 && !ours.has(historyId));
    if (isForeign) strangers.set(name, { follows: following, isAlive });
  }
  let count: number;
  do {
    count = strangers.size;
    for (const { name, info } of reached) {
      const followed = strangers.get(info.following ?? "");
      if (followed !== undefined) strangers.set(name, followed);
    }
  } while (strangers.size > count);
  return [...strangers].map(([name, followed]) => ({ name, ...followed }));
}

function historiesOf(reached: readonly Reached[]): ReadonlySet<string> {
  return new Set(reached.flatMap(({ info }) => [info.historyId, info.formerHistoryId]));
}

/** True if another master must not replace a silent one yet, because that one is not lost: the other may be a member that
    restarted empty and has no master. */
function isUnsure(
  members: readonly MemberState[],
  known: string | undefined,
  serving: string,
  downAfterMs: number,
): boolean {
  if (known === undefined || known === serving) return false;
  const old = members.find(({ name }) => name === known);
  if (old === undefined || (typeof old.state === "object" && "role" in old.state)) return false;
  return !isLost(old, downAfterMs);
}

function isLost({ state }: MemberState, downAfterMs: number): boolean {
  if (state === "refused") return true;
  if ("silentMs" in state) return state.silentMs >= downAfterMs;
  // A replica is not a master, even if it was one.
  return state.role === "replica";
}

/** 1. The master with the most followers. 2. Of several, the only one that was promoted to replace the others. 3. The
    expected one, if none was promoted. */
function chooseMaster(
  masters: readonly Reached[],
  reached: readonly Reached[],
  expected: string,
): { readonly chosen: string | undefined; readonly isClash: boolean } {
  const votes = (name: string): number =>
    reached.filter(({ info }) => info.following === name).length;
  const most = Math.max(...masters.map(({ name }) => votes(name)));
  const first = masters.filter(({ name }) => votes(name) === most);
  const promoted = first.filter(({ info }) => info.wasPromoted);
  const [only] = first.length === 1 ? first : promoted;
  if (first.length <= 1 || promoted.length === 1) return { chosen: only?.name, isClash: false };
  const isExpected = promoted.length === 0 && first.some(({ name }) => name === expected);
  return { chosen: isExpected ? expected : undefined, isClash: !isExpected };
}

function strayFrom(reached: readonly Reached[], master: string): string[] {
  return reached
    .filter(({ name, info }) => name !== master && info.following !== master)
    .map(({ name }) => name);
}

/** The replica that loses the fewest writes; the first of several. */
function furthest(reached: readonly Reached[]): string | undefined {
  const fit = reached.filter(
    ({ info }) => info.role === "replica" && !info.isIncomplete && !info.isBarred,
  );
  return fit.toSorted((a, b) => b.info.offset - a.info.offset)[0]?.name;
}

/** Parses INFO's sections server and replication; undefined without a role. */
export function parseMemberInfo(text: string): MemberInfo | undefined {
  const fields = infoFields(text);
  const role = fields.get("role");
  if (role === undefined) return undefined;
  const isMaster = role === "master";
  const offset = fields.get(isMaster ? "master_repl_offset" : "slave_repl_offset");
  const isSyncing = fields.get("master_sync_in_progress") === "1";
  return {
    runId: fields.get("run_id") ?? "",
    role: isMaster ? "master" : "replica",
    following: isMaster
      ? null
      : `${fields.get("master_host") ?? ""}:${fields.get("master_port") ?? ""}`,
    historyId: fields.get("master_replid") ?? "",
    formerHistoryId: fields.get("master_replid2") ?? "",
    isLinkUp: fields.get("master_link_status") === "up",
    isIncomplete: isSyncing || fields.get("loading") === "1",
    isBarred: fields.get("slave_priority") === "0",
    offset: Number(offset ?? 0),
    wasPromoted: isMaster && !/^0*$/.test(fields.get("master_replid2") ?? ""),
  };
}
