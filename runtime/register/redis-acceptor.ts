// redis-acceptor.ts: one status node as an acceptor: turns requests into scripts and replies into types.
// The pipeline may fail at any time: its rejection means that this node's vote is missing.
import { FailureError } from "../core/failure.ts";
import { readView } from "../core/parse-view.ts";
import { registerKeys, STAMP_KEY } from "../core/register-keys.ts";
import { parseJson, recordOf, type Check } from "../core/schema.ts";
import type { RedisReply } from "../ports/redis-link.ts";
import { ballotText, parseBallot } from "./ballot.ts";
import type {
  Accepted,
  Acceptor,
  AcceptorState,
  AcceptReply,
  AcceptRequest,
  Members,
  NotVoting,
  PrepareReply,
  SeedRequest,
} from "./register.ts";
import { ACCEPT_SCRIPT, PREPARE_SCRIPT, SEED_SCRIPT } from "./scripts.ts";
import { errorText } from "../core/error-text.ts";

/** Commands that are sent in one write. Resolves with the replies in order. */
export type Pipeline = (
  commands: readonly (readonly [string, ...(string | number)[]])[],
) => Promise<readonly RedisReply[]>;

/** Returns what is wrong with a body, or undefined. */
export type BodyCheck = (body: string) => string | undefined;

/** Checks that the body is a view, as the status nodes of a cluster hold. */
export const viewCheck: BodyCheck = (body) => {
  const parsed = readView(body);
  return parsed.kind === "parsed" ? undefined : parsed.why;
};

/**
 * The acceptor `name` of `cluster` behind `pipeline`. A node with malformed data has no vote: the call rejects with a
 * FailureError of kind malformed.
 */
export function redisAcceptor(
  name: string,
  cluster: string,
  pipeline: Pipeline,
  checkBody: BodyCheck = () => undefined,
): Acceptor {
  const keys = registerKeys(cluster);
  const run = async (script: string, ...args: (string | number)[]): Promise<RedisReply> => {
    const named = [STAMP_KEY, keys.register, keys.view, keys.conf] as const;
    const command = ["EVAL", script, named.length, ...named, cluster] as const;
    const [reply = null] = await pipeline([[...command, ...args]]);
    return reply;
  };
  return {
    name,
    prepare: async ({ ballot }) => {
      const reply = await run(PREPARE_SCRIPT, ballotText(ballot));
      return readable(() => prepareReplyOf(reply, checkBody));
    },
    accept: async (request) => {
      const reply = await run(ACCEPT_SCRIPT, ...acceptArgs(name, keys.channel, request));
      return readable(() => acceptReplyOf(reply));
    },
    read: async (withBody) => {
      // MULTI, so that the body belongs to the ballots.
      const replies = await pipeline([
        ["MULTI"],
        ["GET", STAMP_KEY],
        ["HMGET", keys.register, ...STATE_FIELDS],
        ...(withBody ? [["GET", keys.view] as const] : []),
        ["EXEC"],
      ]);
      return readable(() => stateOf(cluster, replies.at(-1) ?? null, checkBody));
    },
    seed: async (request) => (await run(SEED_SCRIPT, ...seedArgs(request))) === 1,
  };
}

/** Turns any error of parsing a reply into a failure of kind malformed. */
function readable<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof FailureError) throw cause;
    const why = errorText(cause);
    throw malformed(why, cause);
  }
}

function malformed(why: string, cause?: unknown): FailureError {
  return new FailureError("malformed", `its register can't be read: ${why}`, { cause });
}

const STATE_FIELDS = [
  "incarnation",
  "accepted",
  "body_ballot",
  "heartbeat",
  "epoch",
  "revision",
  "members",
  "promised",
  "chosen",
] as const;

function acceptArgs(name: string, channel: string, request: AcceptRequest): (string | number)[] {
  return [
    ballotText(request.ballot),
    ballotText(request.bodyBallot),
    request.heartbeat,
    request.epoch,
    request.revision,
    ballotText(request.chosen),
    ballotText(request.next),
    membersText(request.members),
    // No incarnation is a lone dash, so a node that members does not contain is a stranger.
    request.members[name] ?? "-",
    channel,
    ...(request.body === undefined ? [] : [request.body]),
    ...(request.body === undefined || request.conf === undefined ? [] : [request.conf]),
  ];
}

function seedArgs({ incarnation, replaces, accepted }: SeedRequest): (string | number)[] {
  if (accepted === null) return [incarnation, replaces ?? "", ""];
  const { epoch, revision, heartbeat, body } = accepted.value;
  return [
    incarnation,
    replaces ?? "",
    ballotText(accepted.ballot),
    ballotText(accepted.bodyBallot),
    heartbeat,
    epoch,
    revision,
    membersText(accepted.members),
    body ?? "",
  ];
}

function prepareReplyOf(reply: RedisReply, checkBody: BodyCheck): PrepareReply {
  const [kind = "", incarnation = "", ...rest] = textsOf(reply);
  switch (kind) {
    case "promised":
      return { kind, incarnation, accepted: acceptedOf(rest, rest[6] ?? "", checkBody) };
    case "refused":
      return { kind, promised: promisedBallot(incarnation) };
    default:
      return notVoting(kind, incarnation);
  }
}

function acceptReplyOf(reply: RedisReply): AcceptReply {
  const [kind = "", detail = ""] = textsOf(reply);
  switch (kind) {
    case "accepted":
    case "needs-body":
      return { kind };
    case "stranger":
      return { kind, incarnation: detail };
    case "refused":
      return { kind, promised: promisedBallot(detail) };
    default:
      return notVoting(kind, detail);
  }
}

function notVoting(kind: string, cluster: string): NotVoting {
  if (kind === "unstamped") return { kind };
  if (kind === "foreign") return { kind, cluster };
  throw malformed(`it answered "${kind}"`);
}

function promisedBallot(text: string) {
  return parseBallot(text) ?? { count: 0, proposer: "" };
}

/** `fields`: accepted, body_ballot, heartbeat, epoch, revision, members. */
function acceptedOf(
  fields: readonly string[],
  body: string | null,
  checkBody: BodyCheck,
): Accepted | null {
  const [accepted = "", bodyBallot = "", heartbeat, epoch, revision, members = "{}"] = fields;
  const ballot = parseBallot(accepted);
  const named = parseBallot(bodyBallot);
  if (ballot === null || named === null) return null;
  const wrong = body === null ? undefined : checkBody(body);
  if (wrong !== undefined) throw malformed(`the view on it can't be read: ${wrong}`);
  return {
    ballot,
    bodyBallot: named,
    value: {
      body,
      epoch: countOf(epoch, "epoch"),
      revision: countOf(revision, "revision"),
      heartbeat: countOf(heartbeat, "heartbeat"),
    },
    members: membersOf(members),
  };
}

function countOf(text: string | undefined, what: string): number {
  if (text !== undefined && /^\d{1,15}$/.test(text)) return Number(text);
  throw malformed(`its ${what} is not a whole number`);
}

/** Parses members: an incarnation for each status node's name. */
function membersOf(json: string): Members {
  const parsed = parseJson<Members>(json, MEMBERS_CHECK, MEMBERS_CHARS_MAX);
  if (parsed.kind === "parsed") return parsed.value;
  throw malformed(`its members: ${parsed.why}`);
}

const MEMBERS_CHARS_MAX = 1024 * 1024;
const MEMBERS_CHECK: Check = (value, path) => {
  const isObject = recordOf({})(value, path);
  if (isObject !== undefined) return isObject;
  const lives = Object.values(value as Readonly<Record<string, unknown>>);
  return lives.every((life) => typeof life === "string")
    ? undefined
    : "an incarnation is not a text";
};

function stateOf(cluster: string, reply: RedisReply, checkBody: BodyCheck): AcceptorState {
  if (!Array.isArray(reply)) throw new Error("the status node answered EXEC without replies");
  const [stamp, hash, body] = reply as readonly RedisReply[];
  const [incarnation = "", ...fields] = textsOf(hash ?? []);
  if (stamp !== cluster) {
    const owner = typeof stamp === "string" ? stamp : null;
    return { stamp: owner, incarnation: null, promised: null, accepted: null, chosen: null };
  }
  return {
    stamp,
    incarnation,
    accepted: acceptedOf(fields, typeof body === "string" ? body : null, checkBody),
    promised: parseBallot(fields[6] ?? ""),
    chosen: parseBallot(fields[7] ?? ""),
  };
}

function textsOf(reply: RedisReply): string[] {
  if (!Array.isArray(reply)) throw new Error("a status node answered no list");
  return (reply as readonly RedisReply[]).map((item) => (typeof item === "string" ? item : ""));
}

/** Sorted, so that equal members have equal texts. */
function membersText(members: Members): string {
  return JSON.stringify(Object.fromEntries(Object.entries(members).sort()));
}
