// ask-failover.ts: has Sentinel make another node master of a partition, and waits until it says so.
// Sentinel chooses the node. It is no handover: what the old master took and no replica has yet is lost.
import { addressOf, nodesOf } from "../core/cluster.ts";
import { errorText } from "../core/error-text.ts";
import { masterName, sentinelsOf } from "../core/sentinel-nodes.ts";
import { SentinelPanel, sentinelLink, type SentinelPorts } from "./sentinel-panel.ts";
import { isSameAddress } from "./pool-file.ts";

const WITHIN_MS = 15_000;
const LOOK_EVERY_MS = 100;

export type FailoverAnswer =
  | { readonly kind: "moved"; readonly to: string }
  | { readonly kind: "refused"; readonly why: string };

/** `from`: the name of the present master. */
export async function askFailover(
  ports: SentinelPorts,
  partition: number,
  from: string,
): Promise<FailoverAnswer> {
  const { config, clock } = ports;
  const why = await firstRefusal(ports, partition);
  if (why !== undefined) return { kind: "refused", why };
  const panel = new SentinelPanel(ports);
  const data = nodesOf(config, "data").filter((node) => node.partition === partition);
  const endMs = clock.nowMs() + WITHIN_MS;
  while (clock.nowMs() < endMs) {
    const { masters } = await panel.read();
    const master = data.find(({ host, port }) =>
      isSameAddress(masters[partition], { host: addressOf(host), port }),
    );
    if (master !== undefined && master.name !== from) return { kind: "moved", to: master.name };
    await clock.delay(LOOK_EVERY_MS);
  }
  return {
    kind: "refused",
    why: `Sentinel made no other node master within ${WITHIN_MS / 1000} s`,
  };
}

/** undefined: a Sentinel has begun. */
async function firstRefusal(ports: SentinelPorts, partition: number): Promise<string | undefined> {
  const reasons: string[] = [];
  for (const sentinel of sentinelsOf(ports.config)) {
    try {
      const link = await sentinelLink(ports, sentinel);
      try {
        await link.call("SENTINEL", "FAILOVER", masterName(partition));
        return undefined;
      } finally {
        link.close();
      }
    } catch (error) {
      reasons.push(`${sentinel.name}: ${errorText(error)}`);
    }
  }
  return reasons.join("; ");
}
