// rotation-notes.ts: the progress of each host in a rotation of the password, on the status nodes.
// Each host writes only its own note, to a majority, and reads from a majority. So of two hosts that both write before
// they read, at least one sees the other's note (core/rotation.ts needs no more). Malformed notes are ignored here;
// monitors remove them.
import { majorityOf, nodesOf } from "../core/cluster.ts";
import { TwineError } from "../core/errors.ts";
import { registerKeys } from "../core/register-keys.ts";
import { newestRotationNotes, type NumberedNote } from "../core/rotation-notes.ts";
import type { RotationNote } from "../core/rotation.ts";
import { statusNodeLink, type StatusNodesOptions } from "./acceptors.ts";
import { failureText, gatherAll, type Failures } from "./gather.ts";
import { remedyFor } from "./open-view.ts";
import type { RedisReply } from "../ports/redis-link.ts";

/** Both reject with STATUS_UNREACHABLE if no majority of the status nodes replies. */
export interface RotationNotes {
  /** By host. */
  read(): Promise<ReadonlyMap<string, RotationNote>>;
  write(host: string, note: RotationNote): Promise<void>;
  close(): void;
}

/** Opens the notes. The links connect at the first call. */
export function openRotationNotes(options: StatusNodesOptions): RotationNotes {
  const { config } = options;
  const key = registerKeys(config.settings.cluster).rotation;
  const nodes = nodesOf(config, "status").map((node) => ({
    name: node.name,
    link: statusNodeLink(node, { ...options, user: "monitor" }),
  }));
  const onMajority = async (command: readonly [string, ...(string | number)[]]) => {
    const { replies, failures } = await gatherAll(nodes, async ({ link }) => {
      const [reply = null] = await link.pipeline([command]);
      return reply;
    });
    if (replies.size < majorityOf(nodes.length)) throw tooFew(replies.size, nodes.length, failures);
    return replies;
  };
  const readNumbered = async (): Promise<ReadonlyMap<string, NumberedNote>> => {
    const replies = await onMajority(["HGETALL", key]);
    return newestRotationNotes([...replies.values()].map(entriesOf));
  };
  return {
    read: async () =>
      new Map([...(await readNumbered())].map(([host, { note }]) => [host, note] as const)),
    write: async (host, note) => {
      const before = (await readNumbered()).get(host)?.sequence ?? 0;
      await onMajority(["HSET", key, host, `${before + 1} ${JSON.stringify(note)}`]);
    },
    close: () => {
      for (const { link } of nodes) link.close();
    },
  };
}

function entriesOf(reply: RedisReply): [string, string][] {
  const flat = Array.isArray(reply) ? (reply as readonly RedisReply[]).map(String) : [];
  return flat.flatMap((field, index): [string, string][] =>
    index % 2 === 0 ? [[field, flat[index + 1] ?? ""]] : [],
  );
}

function tooFew(count: number, of: number, failures: Failures): TwineError {
  const all = [...failures.values()];
  return new TwineError({
    code: "STATUS_UNREACHABLE",
    message: `${count} of ${of} status nodes answered, and a majority is needed (${all.map(failureText).join("; ")})`,
    remedy: remedyFor(all.map(({ kind }) => kind)),
  });
}
