// cluster-side.ts: a cluster of Twine's as one side: from a replica in sync of each partition, where there is one.
import { credentialsOf, type Secret } from "../../core/credentials.ts";
import { TwineError } from "../../core/errors.ts";
import type { View } from "../../core/view.ts";
import type { Clock } from "../../ports/clock.ts";
import type { LinkTls } from "../../ports/link-tls.ts";
import { sourcesOf } from "../../replication/choose-source.ts";
import { openRdbStream } from "../../replication/rdb-stream.ts";
import type { Side } from "./read-side.ts";

export interface ClusterPorts {
  readonly password: Secret | undefined;
  readonly tls: LinkTls | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** `name`: for people. Throws PARTITION_UNAVAILABLE. */
export function clusterSide(view: View, name: string, { password, ...ports }: ClusterPorts): Side {
  const credentials = credentialsOf("monitor", password);
  const streams = view.partitions.map(({ index }) => {
    const [node] = sourcesOf(view, index);
    if (node === undefined) {
      throw new TwineError({
        code: "PARTITION_UNAVAILABLE",
        message: `no node of partition ${index} of ${name} can be read`,
        remedy: "see twine-status",
      });
    }
    const { host, port, db } = node;
    const open = () => openRdbStream({ host, port }, { credentials, ...ports }).chunks();
    return { name: node.node, db, open };
  });
  return { name, streams };
}
