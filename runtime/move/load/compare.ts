// compare.ts: whether the cluster has every key that was loaded, by value.
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { addressOf } from "../../core/cluster.ts";
import type { Secret } from "../../core/credentials.ts";
import type { View } from "../../core/view.ts";
import type { Clock } from "../../ports/clock.ts";
import type { LinkTls } from "../../ports/link-tls.ts";
import { openRdbStream } from "../../replication/rdb-stream.ts";
import { addressText, type ImportedNode } from "../import/imported.ts";
import { clusterSide } from "../verify/cluster-side.ts";
import { verify, type Verified } from "../verify/verify.ts";
import { loginOf } from "./loading.ts";
import type { SourceAccess, SourceSet } from "./source-set.ts";

export interface CompareOptions {
  /** For people. */
  readonly source: string;
  readonly set: SourceSet;
  /** The server that each shard is read from. */
  readonly nodes: readonly ImportedNode[];
  readonly access: SourceAccess;
  readonly counts: (key: Buffer, shard: number) => boolean;
  readonly view: View;
  readonly password: Secret | undefined;
  readonly tls: LinkTls | undefined;
  readonly file: string;
  /** Keys that only the cluster has are no difference. */
  readonly mayHaveMore: boolean;
  readonly folder: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

const PASSES = 5;

/** Throws VERIFY_UNREADABLE, NodeError. */
export async function compare(options: CompareOptions): Promise<Verified> {
  const { set, nodes, access, view, password, tls, file, clock, signal, counts } = options;
  const folder = join(options.folder, "verify");
  await mkdir(folder, { mode: 0o700 });
  try {
    const streams = set.shards.map(({ master, db }, index) => {
      const node = nodes[index] ?? master;
      const address = { host: addressOf(node.host), port: node.port };
      const credentials = loginOf(access.password);
      return {
        name: addressText(node),
        db,
        wants: (key: Buffer, stored: number) => stored === db && counts(key, index),
        open: () =>
          openRdbStream(address, { credentials, tls: access.tls, signal, clock }).chunks(),
      };
    });
    const verified = await verify({
      source: { name: options.source, streams },
      target: clusterSide(view, file, { password, tls, clock, signal }),
      ...{ passes: PASSES, folder, clock, signal, mayHaveMore: options.mayHaveMore },
    });
    return verified;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
