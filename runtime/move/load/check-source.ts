// check-source.ts: whether a source can be loaded into these nodes at all, before anything is changed.
import { TwineError, type Problem } from "../../core/errors.ts";
import type { View } from "../../core/view.ts";
import { isUnknownVersion, NodeError } from "../../replication/node-error.ts";
import { infoOf } from "../../replication/node-info.ts";
import type { NodeSocket } from "../../replication/node-socket.ts";
import { dumpOf } from "../../replication/rdb/rdb-values.ts";
import { addressText } from "../import/imported.ts";
import { openSource } from "../import/source-link.ts";
import {
  ANSWER_WITHIN_MS,
  type SourceAccess,
  type SourceSet,
  type SourceShard,
} from "./source-set.ts";

/** No type of value: a node that knows the version answers that the data are bad, and nothing is stored. */
const NO_VALUE = Buffer.from([255]);
const CHECKED_KEY = "twine-load:version";

/** Throws LOAD_SOURCE_OWN, LOAD_SOURCE_OLD and LOAD_SOURCE_NEWER for all servers; NodeError. */
export async function checkSources(
  { shards }: SourceSet,
  access: SourceAccess,
  { view, asked }: { readonly view: View; readonly asked: readonly NodeSocket[] },
): Promise<void> {
  const problems = await Promise.all(shards.map((shard) => problemsOf(shard, access, view, asked)));
  if (problems.flat().length > 0) throw new TwineError(problems.flat());
}

async function problemsOf(
  shard: SourceShard,
  access: SourceAccess,
  view: View,
  asked: readonly NodeSocket[],
): Promise<Problem[]> {
  const name = addressText(shard.master);
  const source = await openSource(shard.master, { ...access, withinMs: ANSWER_WITHIN_MS });
  try {
    const fields = await infoOf(source);
    const own = view.nodes.find(({ runId }) => runId !== null && runId === fields.get("run_id"));
    if (own !== undefined) {
      const message = `${name} is ${own.name}, a node of this cluster itself`;
      return [{ code: "LOAD_SOURCE_OWN", message, remedy: "name a server of another system" }];
    }
    const version = fields.get("redis_version") ?? "";
    if (isOlder(version)) {
      const message = `${name} is Redis ${version}, and 6.2 is the oldest that can be loaded`;
      const remedy = "let a newer Redis replicate it (REPLICAOF), and load that one";
      return [{ code: "LOAD_SOURCE_OLD", message, remedy }];
    }
    const written = await dumpVersion(source, shard.db);
    const unable = written === undefined ? undefined : await firstUnable(asked, written, view);
    if (unable === undefined) return [];
    const message = `${name} (${version}) writes values in a newer format than ${unable} can read`;
    const remedy =
      "give the nodes at least the source's version of Redis (twine-install), then load";
    return [{ code: "LOAD_SOURCE_NEWER", message, remedy }];
  } finally {
    source.destroy();
  }
}

function isOlder(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major < 6 || (major === 6 && minor < 2);
}

const TRIES = 5;

/** The RDB version of what DUMP gives there; undefined: there is no key. */
async function dumpVersion(source: NodeSocket, db: number): Promise<number | undefined> {
  if (db !== 0) await source.call("SELECT", String(db));
  for (let tries = 0; tries < TRIES; tries++) {
    const key = await source.call("RANDOMKEY");
    if (key.type !== "bulk") return undefined;
    const dump = await source.call("DUMP", key.bytes);
    // Two bytes of version and eight of CRC end it.
    if (dump.type === "bulk") return dump.bytes.readUInt16LE(dump.bytes.length - 10);
  }
  return undefined;
}

/** The name of a node that does not know that version. */
async function firstUnable(
  asked: readonly NodeSocket[],
  version: number,
  view: View,
): Promise<string | undefined> {
  const probe = dumpOf([NO_VALUE], version);
  for (const [partition, socket] of asked.entries()) {
    const refusal = await socket.call("RESTORE", CHECKED_KEY, "0", probe).catch(refusalOf);
    if (refusal instanceof NodeError && isUnknownVersion(refusal)) {
      return view.partitions[partition]?.master ?? `partition ${partition}`;
    }
  }
  return undefined;
}

function refusalOf(error: unknown): NodeError {
  if (error instanceof NodeError && error.kind !== "closed") return error;
  throw error;
}
