// notice-board.ts: what monitors and tools leave for one another on the status nodes, beside the register.
//
// Nothing here is agreed on: a notice is written to every status node that can be reached and read from all of them,
// and a dead one costs nobody more than one answer's time. Copies differ when a node was away, so they are merged:
//   observed, offsets, mailed: each entry carries a sequence number; the highest wins, and what a node kept from before is
//     overwritten by the next notice that reaches it. Whoever alone writes an entry goes on above the highest that it found.
//     offsets is written by one alpha after the other: there the epoch comes first, and each epoch counts from one.
//   request: an answer wins over the question. A node that was away while the alpha answered still holds the question;
//     a monitor that reads both puts the answer there, so that nothing is done twice. Answers stay for good: were they
//     deleted, such a node would bring the question back.
import { nodesOf } from "../core/cluster.ts";
import { TwineError } from "../core/errors.ts";
import { registerKeys } from "../core/register-keys.ts";
import type { Request } from "../core/request.ts";
import type { RedisReply } from "../ports/redis-link.ts";
import { statusNodeLink, type StatusNodesOptions } from "./acceptors.ts";
import { gatherAll } from "./gather.ts";
import type { StandingLink } from "./standing-link.ts";

/** Every method rejects with STATUS_UNREACHABLE when no status node answered. */
export interface NoticeBoard {
  /** What this monitor sees, for the others. */
  writeObserved(monitor: string, json: string): Promise<void>;
  /** monitor -> the newest JSON it wrote. */
  readObserved(): Promise<ReadonlyMap<string, string>>;
  /** data node -> JSON {replicationId, offset, keys}, by the alpha of that epoch; nodes not named keep what is there. */
  writeOffsets(epoch: number, record: ReadonlyMap<string, string>): Promise<void>;
  readOffsets(): Promise<ReadonlyMap<string, string>>;
  /** What the alpha has mailed, for its successors. */
  writeMailed(json: string): Promise<void>;
  /** null before the first. */
  readMailed(): Promise<string | null>;
  /** Asks the alpha for something, under an id that nobody else uses. */
  askRequest(request: Request): Promise<void>;
  readRequests(): Promise<readonly Request[]>;
  answerRequest(request: Request): Promise<void>;
  /** Publishes an event on every status node that can be reached. */
  publishEvent(json: string): Promise<void>;
  close(): Promise<void>;
}

const MAILED_FIELD = "book";
/** Above every number that one epoch can reach, with a notice a second; a double counts a million such epochs. */
const EPOCH_STEP = 2 ** 32;

interface Place {
  readonly name: string;
  readonly link: StandingLink;
}

type Copies = ReadonlyMap<string, ReadonlyMap<string, string>>;

/** The board of `config`'s cluster. Its links open at the first call and come back by themselves. */
export function createNoticeBoard(options: StatusNodesOptions): NoticeBoard {
  const { config, user } = options;
  const keys = registerKeys(config.settings.cluster);
  const places = nodesOf(config, "status").map((node): Place => ({
    name: node.name,
    link: statusNodeLink(node, options),
  }));
  const readCopies = async (key: string): Promise<Copies> => {
    const hashes = await onAll(places, ["HGETALL", key]);
    return new Map([...hashes].map(([name, reply]) => [name, pairsOf(reply)]));
  };
  const readNewest = async (key: string) => newestOf(await readCopies(key));
  const write = async (key: string, record: ReadonlyMap<string, string>): Promise<void> => {
    if (record.size > 0) await onAll(places, ["HSET", key, ...[...record].flat()]);
  };
  const sequences = new Map<string, Promise<number>>();
  const writeNotices = async (key: string, record: ReadonlyMap<string, string>): Promise<void> => {
    const before = sequences.get(key) ?? readNewest(key).then(highestSequence);
    const sequence = before.then((number) => number + 1);
    sequences.set(key, sequence);
    // Without any status node there is nothing to go on from: the next notice looks again.
    const number = await sequence.catch((error: unknown) => {
      sequences.delete(key);
      throw error;
    });
    await write(key, numbered(number, record));
  };
  let offsetsCount = 0;
  const readTexts = async (key: string) => textsOf(await readNewest(key));
  const writeRequest = (request: Request) =>
    write(keys.request, new Map([[request.id, JSON.stringify(request)]]));

  return {
    writeObserved: (monitor, json) => writeNotices(keys.observed, new Map([[monitor, json]])),
    readObserved: () => readTexts(keys.observed),
    writeOffsets: (epoch, record) => {
      offsetsCount += 1;
      return write(keys.offsets, numbered(epoch * EPOCH_STEP + offsetsCount, record));
    },
    readOffsets: () => readTexts(keys.offsets),
    writeMailed: async (json) => {
      // Alphas take turns at this one entry, so the number to go on from is looked up each time.
      const sequence = highestSequence(await readNewest(keys.mailed)) + 1;
      await write(keys.mailed, new Map([[MAILED_FIELD, `${sequence} ${json}`]]));
    },
    readMailed: async () => (await readTexts(keys.mailed)).get(MAILED_FIELD) ?? null,
    askRequest: writeRequest,
    readRequests: async () => {
      const copies = await readCopies(keys.request);
      const { requests, outdated } = mergeRequests(copies);
      if (user === "monitor") {
        for (const { place, request } of outdated) {
          const { link } = places.find(({ name }) => name === place) ?? {};
          // Tried again at the next reading.
          const command = ["HSET", keys.request, request.id, JSON.stringify(request)] as const;
          link?.pipeline([command]).catch(() => undefined);
        }
      }
      return requests;
    },
    answerRequest: writeRequest,
    publishEvent: async (json) => {
      await onAll(places, ["PUBLISH", keys.events, json]);
    },
    close: () => {
      for (const { link } of places) link.close();
      return Promise.resolve();
    },
  };
}

/** The replies of all that answered; at least one. */
async function onAll(
  places: readonly Place[],
  command: readonly [string, ...(string | number)[]],
): Promise<ReadonlyMap<string, RedisReply>> {
  const { replies, errors } = await gatherAll(places, async ({ link }) => {
    const [reply = null] = await link.pipeline([command]);
    return reply;
  });
  if (replies.size > 0) return replies;
  const reasons = [...errors].map(([name, why]) => `${name}: ${why}`).join("; ");
  throw new TwineError({
    code: "STATUS_UNREACHABLE",
    message: `no status node of ${places.length} answers (${reasons})`,
    remedy: "start the status nodes, and look whether this machine reaches their ports",
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

interface Entry {
  readonly sequence: number;
  readonly json: string;
}

function newestOf(copies: Copies): Map<string, Entry> {
  const newest = new Map<string, Entry>();
  for (const hash of copies.values()) {
    for (const [name, text] of hash) {
      const [, digits = "0", json = text] = /^(\d+) (.*)$/s.exec(text) ?? [];
      const entry = { sequence: Number(digits), json };
      if (entry.sequence >= (newest.get(name)?.sequence ?? 0)) newest.set(name, entry);
    }
  }
  return newest;
}

function textsOf(entries: ReadonlyMap<string, Entry>): Map<string, string> {
  return new Map([...entries].map(([name, { json }]) => [name, json]));
}

function highestSequence(entries: ReadonlyMap<string, Entry>): number {
  return Math.max(0, ...[...entries.values()].map(({ sequence }) => sequence));
}

interface MergedRequests {
  readonly requests: readonly Request[];
  /** Answers, and the status nodes that still hold their question. */
  readonly outdated: readonly { readonly place: string; readonly request: Request }[];
}

function mergeRequests(copies: Copies): MergedRequests {
  const held = [...copies].flatMap(([place, hash]) =>
    [...hash.values()].flatMap((text) => {
      const request = requestOf(text);
      return request === undefined ? [] : [{ place, request }];
    }),
  );
  const merged = new Map<string, Request>();
  for (const { request } of held) {
    const other = merged.get(request.id);
    if (other === undefined || other.state === "asked") merged.set(request.id, request);
  }
  const outdated = held.flatMap(({ place, request }) => {
    const best = merged.get(request.id) ?? request;
    return request.state === "asked" && best.state !== "asked" ? [{ place, request: best }] : [];
  });
  return { requests: [...merged.values()], outdated };
}

/** undefined for what is no request: another version's words are left alone. */
function requestOf(text: string): Request | undefined {
  try {
    const value = JSON.parse(text) as Partial<Request> | null;
    const isRequest =
      typeof value?.id === "string" &&
      ["asked", "done", "refused"].includes(value.state ?? "") &&
      typeof value.body === "object";
    return isRequest ? (value as Request) : undefined;
  } catch {
    return undefined;
  }
}
