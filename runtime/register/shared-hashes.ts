// shared-hashes.ts: entries that monitors and tools share on the status nodes, beside the register.
//
// These hashes are not agreed on: an entry is written to every reachable status node and read from all of them. A dead
// node delays a call by one reply timeout at most. Copies differ if a node was unreachable, so they are merged:
//   observed, offsets, mailed, rotation: each entry has a sequence number; the highest wins. An old entry on a node is
//     overwritten by the next one that reaches it. An entry with one writer continues after the highest number found.
//     offsets is written by successive alphas: its number starts with the epoch, and each epoch counts from one.
//   request: an answer wins over the question. A node that was unreachable while the alpha answered still holds the
//     question; a monitor that reads both copies the answer there, so that no request is executed twice. So an answer is
//     removed only if every status node replied and none holds the question. By then the tool has read it: answers are
//     kept for ANSWER_KEPT_MS. While a status node is unreachable, answers stay.
// A malformed entry (core/shared-entries.ts) is ignored; a monitor reports and removes it. One bad entry on one node must
// never stop a monitor's tick.
import { nodesOf } from "../core/cluster.ts";
import { TwineError } from "../core/errors.ts";
import { registerKeys } from "../core/register-keys.ts";
import { heartbeatIn, type Request } from "../core/request.ts";
import {
  ENTRY_CHARS_MAX,
  ENTRY_COUNT_MAX,
  SEQUENCE_MAX,
  readEntry,
  type MalformedEntry,
  type SharedEntry,
  type SharedHash,
} from "../core/shared-entries.ts";
import type { RedisReply } from "../ports/redis-link.ts";
import { statusNodeLink, type StatusNodesOptions } from "./acceptors.ts";
import { failureText, gatherAll, type Failures } from "./gather.ts";
import { remedyFor } from "./open-view.ts";
import type { ReconnectingLink } from "./reconnecting-link.ts";
import { AnsweredRequests } from "./answered-requests.ts";
import { RequestNews } from "./request-news.ts";
import { READ_SCRIPT, REMOVE_SCRIPT } from "./shared-scripts.ts";
import {
  ASKED_TEXT,
  takenRequests,
  type StatusLink,
  type TakenRequests,
} from "./taken-requests.ts";

/** Every method rejects with STATUS_UNREACHABLE if no status node replied. */
export interface SharedHashes extends TakenRequests {
  /** Writes this monitor's observations. */
  writeObserved(monitor: string, json: string): Promise<void>;
  /** Monitor -> its newest JSON. */
  readObserved(): Promise<ReadonlyMap<string, string>>;
  /** Data node -> JSON {replicationId, offset, keys}, by the alpha of that epoch. Entries of other nodes are kept. */
  writeOffsets(epoch: number, record: ReadonlyMap<string, string>): Promise<void>;
  readOffsets(): Promise<ReadonlyMap<string, string>>;
  /** Writes the list of the alpha's mails, for its successors. */
  writeMailed(json: string): Promise<void>;
  /** null before the first one. */
  readMailed(): Promise<string | null>;
  /** host -> JSON of RotationNote; twine-password writes them (rotation-notes.ts). */
  readRotation(): Promise<ReadonlyMap<string, string>>;
  /** Writes a request to the alpha. Its id must be unique. */
  askRequest(request: Request): Promise<void>;
  readRequests(): Promise<readonly Request[]>;
  answerRequest(request: Request): Promise<void>;
  /** Calls `task` when a request may have been written or answered. A message may be lost, so read at intervals too. The
      returned function ends that. */
  onRequestNews(task: () => void): () => void;
  /** Publishes an event on every reachable status node. */
  publishEvent(json: string): Promise<void>;
  /** The malformed entries that were removed last, newest last. */
  malformed(): readonly MalformedEntry[];
  close(): Promise<void>;
}

/** What a tool needs that asks the alpha. */
export type RequestBoard = Pick<
  SharedHashes,
  "askRequest" | "readRequests" | "withdrawRequest" | "answerRequest"
> &
  Partial<Pick<SharedHashes, "onRequestNews">>;

export interface SharedHashesOptions extends StatusNodesOptions {
  /** Called for every malformed entry that was removed. Only the user monitor may remove entries. */
  readonly onMalformed?: (entry: MalformedEntry) => void;
}

const MAILED_FIELD = "book";
const FIELD_BYTES_MAX = 256;
const MALFORMED_COUNT_MAX = 8;
/** Greater than any count within one epoch, at one entry a second. A double can count a million epochs of this size. */
const EPOCH_STEP = 2 ** 32;

/** Status node -> field -> entry. */
type Copies = ReadonlyMap<string, ReadonlyMap<string, SharedEntry>>;

/** The hashes of `config`'s cluster. The links connect at the first call and reconnect by themselves. */
export function openSharedHashes(options: SharedHashesOptions): SharedHashes {
  const { config } = options;
  const isMonitor = options.user === "monitor";
  const keys = registerKeys(config.settings.cluster);
  const nodes = nodesOf(config, "status").map((node): StatusLink => ({
    name: node.name,
    link: statusNodeLink(node, options),
  }));
  const reader = new HashReader(nodes, keys, options);
  const readNewest = async (hash: SharedHash) => newestOf(await reader.read(hash));
  const write = (hash: SharedHash, record: ReadonlyMap<string, string>): Promise<void> =>
    writeRecord({ nodes, key: keys[hash], record }, () => {
      // A node also refuses if the key is no longer a hash; reading repairs this.
      if (isMonitor) reader.read(hash).catch(() => undefined);
    });
  const sequences = new Map<string, Promise<number>>();
  const writeNumbered = async (
    hash: SharedHash,
    record: ReadonlyMap<string, string>,
  ): Promise<void> => {
    const fields = [...record.keys()];
    const before =
      sequences.get(hash) ?? readNewest(hash).then((newest) => highestSequence(newest, fields));
    const sequence = before.then(sequenceAfter);
    sequences.set(hash, sequence);
    // Without any status node the highest number is unknown: the next write reads it again.
    const number = await sequence.catch((error: unknown) => {
      sequences.delete(hash);
      throw error;
    });
    await write(hash, numbered(number, record));
  };
  let offsetsCount = 0;
  const readTexts = async (hash: SharedHash) => textsOf(await readNewest(hash));
  const news = new RequestNews(options);
  const writeRequest = (request: Request): Promise<void> =>
    announced(nodes, keys.requests, request, (record) => write("request", record));

  return {
    writeObserved: (monitor, json) => writeNumbered("observed", new Map([[monitor, json]])),
    readObserved: () => readTexts("observed"),
    writeOffsets: (epoch, record) => {
      offsetsCount += 1;
      return write("offsets", numbered(epoch * EPOCH_STEP + offsetsCount, record));
    },
    readOffsets: () => readTexts("offsets"),
    writeMailed: async (json) => {
      // Successive alphas write this one entry, so the highest number is read each time.
      const highest = highestSequence(await readNewest("mailed"), [MAILED_FIELD]);
      const sequence = sequenceAfter(highest);
      await write("mailed", new Map([[MAILED_FIELD, `${sequence} ${json}`]]));
    },
    readMailed: async () => (await readTexts("mailed")).get(MAILED_FIELD) ?? null,
    readRotation: () => readTexts("rotation"),
    askRequest: writeRequest,
    readRequests: () => reader.readRequests(),
    ...takenRequests(nodes, keys.request),
    answerRequest: writeRequest,
    onRequestNews: (task) => news.watch(task),
    publishEvent: async (json) => {
      await onAll(nodes, ["PUBLISH", keys.events, json]);
    },
    malformed: () => reader.malformed,
    close: () => {
      news.close();
      for (const { link } of nodes) link.close();
      return Promise.resolve();
    },
  };
}

interface RecordWrite {
  readonly nodes: readonly StatusLink[];
  readonly key: string;
  readonly record: ReadonlyMap<string, string>;
}

async function writeRecord(
  { nodes, key, record }: RecordWrite,
  onFailures: () => void,
): Promise<void> {
  if (record.size === 0) return;
  const { failures } = await onAll(nodes, ["HSET", key, ...[...record].flat()]);
  if (failures.size > 0) onFailures();
}

/** The message follows on the connections on which the request was written. Nobody depends on it. */
function announced(
  nodes: readonly StatusLink[],
  channel: string,
  request: Request,
  write: (record: ReadonlyMap<string, string>) => Promise<void>,
): Promise<void> {
  const { id } = request;
  const written = write(new Map([[id, JSON.stringify(request)]]));
  for (const { link } of nodes) link.pipeline([["PUBLISH", channel, id]]).catch(() => undefined);
  return written;
}

/** Reads one hash from all status nodes and checks every entry. */
class HashReader {
  readonly #nodes: readonly StatusLink[];
  readonly #keys: Readonly<Record<SharedHash, string>>;
  readonly #options: SharedHashesOptions;
  readonly #answered = new AnsweredRequests();
  #malformed: readonly MalformedEntry[] = [];

  constructor(
    nodes: readonly StatusLink[],
    keys: Readonly<Record<SharedHash, string>>,
    options: SharedHashesOptions,
  ) {
    this.#nodes = nodes;
    this.#keys = keys;
    this.#options = options;
  }

  get malformed(): readonly MalformedEntry[] {
    return this.#malformed;
  }

  async read(hash: SharedHash): Promise<Copies> {
    const key = this.#keys[hash];
    const isMonitor = this.#options.user === "monitor";
    const keptText = hash === "request" ? ASKED_TEXT : "";
    const limits = [ENTRY_CHARS_MAX, ENTRY_COUNT_MAX, FIELD_BYTES_MAX, keptText];
    // Only monitors may run scripts that remove entries.
    const { replies } = isMonitor
      ? await onAll(this.#nodes, ["EVAL", READ_SCRIPT, 1, key, ...limits])
      : await onAll(this.#nodes, ["HGETALL", key]);
    return new Map(
      [...replies].map(([name, reply]) => {
        const both: readonly RedisReply[] = isMonitor && Array.isArray(reply) ? reply : [reply];
        const [kept = null, removed = null] = both;
        for (const [field, why] of pairsOf(removed)) this.#report(name, hash, field, why);
        return [name, this.#checked(name, hash, pairsOf(kept))] as const;
      }),
    );
  }

  /** A monitor also replaces outdated questions by their answers, and removes old answers. */
  async readRequests(): Promise<readonly Request[]> {
    const { clock, user } = this.#options;
    const copies = await this.read("request");
    const { requests, outdated } = mergeRequests(copies);
    if (user !== "monitor") return requests;
    for (const { node, request } of outdated) this.#putBack(node, request);
    const isComplete = copies.size === this.#nodes.length;
    const old = this.#answered.oldOnes(requests, outdated, isComplete, clock.nowMs());
    for (const id of old) this.#drop(copies, id);
    return requests;
  }

  /** Not awaited: if it fails, the next reading tries again. */
  #putBack(name: string, request: Request): void {
    const command = ["HSET", this.#keys.request, request.id, JSON.stringify(request)] as const;
    this.#linkOf(name)
      ?.pipeline([command])
      .catch(() => undefined);
  }

  /** Removes an answered request from every node that was read, unless it has changed there since. */
  #drop(copies: Copies, id: string): void {
    for (const [name, entries] of copies) {
      const entry = entries.get(id);
      if (entry === undefined) continue;
      this.#linkOf(name)
        ?.pipeline([["EVAL", REMOVE_SCRIPT, 1, this.#keys.request, id, entry.json]])
        .catch(() => undefined);
    }
  }

  #checked(
    name: string,
    hash: SharedHash,
    entries: ReadonlyMap<string, string>,
  ): Map<string, SharedEntry> {
    const checked = new Map<string, SharedEntry>();
    for (const [field, text] of entries) {
      const entry = readEntry(hash, field, text);
      if (typeof entry !== "string") checked.set(field, entry);
      else if (this.#options.user === "monitor") this.#remove(name, hash, field, text, entry);
    }
    return checked;
  }

  /** If it fails, the next reading tries again. */
  #remove(name: string, hash: SharedHash, field: string, text: string, why: string): void {
    const command = ["EVAL", REMOVE_SCRIPT, 1, this.#keys[hash], field, text] as const;
    this.#linkOf(name)
      ?.pipeline([command])
      .then(
        ([count]) => {
          if (count === 1) this.#report(name, hash, field, why);
        },
        () => undefined,
      );
  }

  #report(node: string, hash: SharedHash, field: string, why: string): void {
    const at = this.#options.clock.wallTime();
    const entry = { node, hash, field: field.slice(0, FIELD_BYTES_MAX), why, at };
    this.#malformed = [...this.#malformed, entry].slice(-MALFORMED_COUNT_MAX);
    this.#options.onMalformed?.(entry);
  }

  #linkOf(name: string): ReconnectingLink | undefined {
    return this.#nodes.find((node) => node.name === name)?.link;
  }
}

interface Answers {
  readonly replies: ReadonlyMap<string, RedisReply>;
  readonly failures: Failures;
}

/** The replies of the nodes; rejects if there is none. */
async function onAll(
  nodes: readonly StatusLink[],
  command: readonly [string, ...(string | number)[]],
): Promise<Answers> {
  const answers = await gatherAll(nodes, async ({ link }) => {
    const [reply = null] = await link.pipeline([command]);
    return reply;
  });
  if (answers.replies.size > 0) return answers;
  const failures = [...answers.failures.values()];
  throw new TwineError({
    code: "STATUS_UNREACHABLE",
    message: `no status node of ${nodes.length} answered (${failures.map(failureText).join("; ")})`,
    remedy: remedyFor(failures.map(({ kind }) => kind)),
  });
}

function pairsOf(reply: RedisReply): Map<string, string> {
  const flat = Array.isArray(reply) ? (reply as readonly RedisReply[]).map(String) : [];
  return new Map(
    flat.flatMap((field, index) => (index % 2 === 0 ? [[field, flat[index + 1] ?? ""]] : [])),
  );
}

function numbered(number: number, record: ReadonlyMap<string, string>): Map<string, string> {
  return new Map([...record].map(([name, json]) => [name, `${number} ${json}`]));
}

function newestOf(copies: Copies): Map<string, SharedEntry> {
  const newest = new Map<string, SharedEntry>();
  for (const entries of copies.values()) {
    for (const [name, entry] of entries) {
      if (entry.sequence >= (newest.get(name)?.sequence ?? 0)) newest.set(name, entry);
    }
  }
  return newest;
}

function textsOf(entries: ReadonlyMap<string, SharedEntry>): Map<string, string> {
  return new Map([...entries].map(([name, { json }]) => [name, json]));
}

/** The highest sequence of the entries under `fields`. Other fields have other writers. */
function highestSequence(
  entries: ReadonlyMap<string, SharedEntry>,
  fields: readonly string[],
): number {
  return Math.max(0, ...fields.map((field) => entries.get(field)?.sequence ?? 0));
}

/** Returns 1 if the highest number is too large: no monitor counts so far, so another client wrote it, and a number above
    SEQUENCE_MAX would be malformed. The new entry then replaces the old one on each node that it reaches. */
function sequenceAfter(highest: number): number {
  return highest < SEQUENCE_MAX / 2 ? highest + 1 : 1;
}

interface MergedRequests {
  readonly requests: readonly Request[];
  /** Answers, and the status nodes that still hold their question. */
  readonly outdated: readonly { readonly node: string; readonly request: Request }[];
}

function mergeRequests(copies: Copies): MergedRequests {
  const all = [...copies].flatMap(([node, entries]) =>
    [...entries.values()].map(({ json }) => ({ node, request: JSON.parse(json) as Request })),
  );
  const merged = new Map<string, Request>();
  for (const { request } of all) {
    const other = merged.get(request.id);
    if (other === undefined || (other.state === "asked" && countOf(request) >= countOf(other))) {
      merged.set(request.id, request);
    }
  }
  const outdated = all.flatMap(({ node, request }) => {
    const best = merged.get(request.id) ?? request;
    return request.state === "asked" && best.state !== "asked" ? [{ node, request: best }] : [];
  });
  return { requests: [...merged.values()], outdated };
}

/** The order of copies of one request. A repeated request (alive) has a count; a node that was unreachable has an older
    one. */
function countOf({ body, state }: Request): number {
  if (state !== "asked") return Infinity;
  return heartbeatIn(body)?.count ?? 0;
}
