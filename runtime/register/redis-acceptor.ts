// redis-acceptor.ts: one status node as an acceptor: requests become scripts, replies become types.
// `call` is a link that may break at any moment; whatever it rejects with is this node's missing vote.
import { registerKeys, STAMP_KEY } from "../core/register-keys.ts";
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

/** Commands that belong together, sent in one write; the replies in order, or a rejection. */
export type Pipeline = (
  commands: readonly (readonly [string, ...(string | number)[]])[],
) => Promise<readonly RedisReply[]>;

/** The acceptor `name` of `cluster` behind `pipeline`. */
export function redisAcceptor(name: string, cluster: string, pipeline: Pipeline): Acceptor {
  const keys = registerKeys(cluster);
  const run = async (script: string, ...args: (string | number)[]): Promise<RedisReply> => {
    const command = ["EVAL", script, 3, STAMP_KEY, keys.register, keys.view, cluster] as const;
    const [reply = null] = await pipeline([[...command, ...args]]);
    return reply;
  };
  return {
    name,
    prepare: async ({ ballot }) => prepareReplyOf(await run(PREPARE_SCRIPT, ballotText(ballot))),
    accept: async (request) =>
      acceptReplyOf(await run(ACCEPT_SCRIPT, ...acceptArgs(name, keys.channel, request))),
    read: async (withBody) => {
      // MULTI, so that the body is the one that the ballots speak of.
      const replies = await pipeline([
        ["MULTI"],
        ["GET", STAMP_KEY],
        ["HMGET", keys.register, ...STATE_FIELDS],
        ...(withBody ? [["GET", keys.view] as const] : []),
        ["EXEC"],
      ]);
      return stateOf(cluster, replies.at(-1) ?? null);
    },
    seed: async (request) => (await run(SEED_SCRIPT, ...seedArgs(request))) === 1,
  };
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
    // No node's incarnation is a lone dash, so a node that members does not name is a stranger.
    request.members[name] ?? "-",
    channel,
    ...(request.body === undefined ? [] : [request.body]),
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

function prepareReplyOf(reply: RedisReply): PrepareReply {
  const [kind = "", incarnation = "", ...rest] = textsOf(reply);
  switch (kind) {
    case "promised":
      return { kind, incarnation, accepted: acceptedOf(rest, rest[6] ?? "") };
    case "refused":
      return { kind, promised: standingBallot(incarnation) };
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
      return { kind, promised: standingBallot(detail) };
    default:
      return notVoting(kind, detail);
  }
}

function notVoting(kind: string, cluster: string): NotVoting {
  if (kind === "unstamped") return { kind };
  if (kind === "foreign") return { kind, cluster };
  throw new Error(`a status node answered "${kind}", which no script of ours does`);
}

function standingBallot(text: string) {
  return parseBallot(text) ?? { count: 0, proposer: "" };
}

/** `fields`: accepted, body_ballot, heartbeat, epoch, revision, members. */
function acceptedOf(fields: readonly string[], body: string | null): Accepted | null {
  const [accepted = "", bodyBallot = "", heartbeat, epoch, revision, members = "{}"] = fields;
  const ballot = parseBallot(accepted);
  const named = parseBallot(bodyBallot);
  if (ballot === null || named === null) return null;
  return {
    ballot,
    bodyBallot: named,
    value: {
      body,
      epoch: Number(epoch),
      revision: Number(revision),
      heartbeat: Number(heartbeat),
    },
    members: JSON.parse(members) as Members,
  };
}

function stateOf(cluster: string, reply: RedisReply): AcceptorState {
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
    accepted: acceptedOf(fields, typeof body === "string" ? body : null),
    promised: parseBallot(fields[6] ?? ""),
    chosen: parseBallot(fields[7] ?? ""),
  };
}

function textsOf(reply: RedisReply): string[] {
  if (!Array.isArray(reply)) throw new Error("a status node answered no list");
  return (reply as readonly RedisReply[]).map((item) => (typeof item === "string" ? item : ""));
}

/** Sorted, so that equal members are equal texts. */
function membersText(members: Members): string {
  return JSON.stringify(Object.fromEntries(Object.entries(members).sort()));
}
