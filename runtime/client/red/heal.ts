// heal.ts: who is the master of one replica set, and what its members must be told. Pure.
//
//   what every member says of itself --> the master: the known one, another that is master already, or one to promote
//                                    --> the others: REPLICAOF the master, when they follow somebody else
//
// A RedCluster decides alone, without a majority. What keeps several of them from pulling apart is that all choose by the
// same rule from what the members themselves say: a master that is there is adopted, however it became one, and between
// two the one that more members follow.
//
// What follows a live node outside the set, itself or through other members, is somebody else's replica: a wrong port in a
// list must not detach it. It is neither promoted nor told anything, and is named.

/** What a member says of itself by INFO replication. */
export interface MemberInfo {
  readonly runId: string;
  readonly role: "master" | "replica";
  /** host:port that a replica follows; null for a master. */
  readonly following: string | null;
  /** The replication id: a replica whose link is up has that of its master, whatever address it knows it by. */
  readonly historyId: string;
  readonly isLinkUp: boolean;
  /** Its data is being replaced, or read from disk. */
  readonly isIncomplete: boolean;
  /** Its replica-priority is 0: it must never be promoted. */
  readonly isBarred: boolean;
  readonly offset: number;
  /** It became master after it had followed another. */
  readonly wasPromoted: boolean;
}

export interface MemberState {
  /** host:port, its name. */
  readonly name: string;
  /** refused: nobody listens there; silent: no answer, for so long. */
  readonly state: MemberInfo | "refused" | { readonly silentMs: number };
}

export interface Healing {
  /** Who serves writes now; undefined while there is nobody. */
  readonly master: string | undefined;
  /** Becomes master before anything else is done. */
  readonly promote: string | undefined;
  /** Must follow the master, or who is promoted. */
  readonly repoint: readonly string[];
  /** Two masters that nothing tells apart. Only asked of a set whose master is not known yet. */
  readonly clash: readonly string[];
  /** Members that are replicas of a live node outside the set: left alone. */
  readonly strangers: readonly Stranger[];
}

export interface Stranger {
  readonly name: string;
  /** host:port outside the set. */
  readonly follows: string;
}

const nobody = { master: undefined, promote: undefined, repoint: [], clash: [] } as const;

interface Reached {
  readonly name: string;
  readonly info: MemberInfo;
}

export interface HealOptions {
  /** The master so far, undefined at the beginning. */
  readonly known: string | undefined;
  /** The one that ought to be it then. */
  readonly configured: string;
  readonly downAfterMs: number;
  /** Nodes outside the set, host:port, that answer. */
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
    return { ...nobody, clash: masters.map(({ name }) => name) };
  }
  const serving = isClash ? known : chosen;
  if (serving !== undefined && !isUnsure(members, known, serving, downAfterMs)) {
    return { ...nobody, master: serving, repoint: strayFrom(own, serving) };
  }
  const old = members.find(({ name }) => name === (known ?? configured));
  if (old !== undefined && !isLost(old, downAfterMs)) return { ...nobody, master: known };
  const heir = furthest(own);
  if (heir === undefined) return nobody;
  const repoint = own.map(({ name }) => name).filter((name) => name !== heir);
  return { ...nobody, promote: heir, repoint };
}

/** Addresses outside the set that its members follow without a link: only asking them tells whether they live. */
export function followedOutside(members: readonly MemberState[]): string[] {
  const names = new Set(members.map(({ name }) => name));
  const followed = reachedOf(members).flatMap(({ info }) =>
    info.following === null || info.isLinkUp || names.has(info.following) ? [] : [info.following],
  );
  return [...new Set(followed)];
}

/** 1. Who follows an address outside the set by a link that is up, unless it has the history of a master of the set: that
    one is known by another address then. 2. Who follows one without a link, while it answers. 3. Who follows such a
    member. */
function strangersOf(
  members: readonly MemberState[],
  aliveOutside: ReadonlySet<string>,
): readonly Stranger[] {
  const names = new Set(members.map(({ name }) => name));
  const reached = reachedOf(members);
  const histories = new Set(
    reached.filter(({ info }) => info.role === "master").map(({ info }) => info.historyId),
  );
  const strangers = new Map<string, string>();
  for (const { name, info } of reached) {
    const { following, isLinkUp, historyId } = info;
    if (following === null || names.has(following)) continue;
    const isForeign = isLinkUp ? !histories.has(historyId) : aliveOutside.has(following);
    if (isForeign) strangers.set(name, following);
  }
  let count: number;
  do {
    count = strangers.size;
    for (const { name, info } of reached) {
      const follows = strangers.get(info.following ?? "");
      if (follows !== undefined) strangers.set(name, follows);
    }
  } while (strangers.size > count);
  return [...strangers].map(([name, follows]) => ({ name, follows }));
}

/** Another master doesn't take the place of a silent one before that one is lost: it may be a member that came back empty
    and knows of nobody. */
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
  // A replica is no master, whatever it was.
  return state.role === "replica";
}

/** 1. The one that most members follow. 2. Of several, the only one that was promoted: in the place of the others. 3. The
    expected one, when none was. */
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

/** INFO's sections server and replication. undefined when it says no role. */
export function parseMemberInfo(text: string): MemberInfo | undefined {
  const fields = new Map(
    text.split(/\r?\n/).map((line): [string, string] => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1)];
    }),
  );
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
    isLinkUp: fields.get("master_link_status") === "up",
    isIncomplete: isSyncing || fields.get("loading") === "1",
    isBarred: fields.get("slave_priority") === "0",
    offset: Number(offset ?? 0),
    wasPromoted: isMaster && !/^0*$/.test(fields.get("master_replid2") ?? ""),
  };
}
