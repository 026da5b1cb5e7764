// adopted-conf.ts: reads the adopted twine.conf, which status nodes store beside the view.
//
//   view (agreed on): confDigest   ==   SHA-256 of the text under `conf` on any status node
//
// The text itself is not agreed on, because the digest proves it: one node that has it is enough, and a changed text is
// ignored. The accept script writes it together with the view.
import { nodesOf, type ClusterConfig } from "../core/cluster.ts";
import { confDigest, digestOfConf } from "../core/conf/digest.ts";
import { parseConf } from "../core/conf/parse.ts";
import { registerKeys } from "../core/register-keys.ts";
import type { View } from "../core/view.ts";
import { statusNodeLink, type StatusNodesOptions } from "./acceptors.ts";
import { gatherAll } from "./gather.ts";
import { within } from "./within.ts";

/** A twine.conf of 10,000 nodes is shorter. Longer texts are not read. */
export const CONF_BYTES_MAX = 1024 * 1024;

/** The adopted twine.conf. */
export interface AdoptedConf {
  /** As printed by the monitor that wrote it. */
  readonly text: string;
  readonly config: ClusterConfig;
}

/** undefined if no status node that replied has the file with this digest. */
export async function readAdoptedConf(
  options: StatusNodesOptions,
  digest: string,
): Promise<AdoptedConf | undefined> {
  const key = registerKeys(options.config.settings.cluster).conf;
  const nodes = nodesOf(options.config, "status").map((node) => ({
    name: node.name,
    link: statusNodeLink(node, options),
  }));
  try {
    const { replies } = await gatherAll(nodes, async ({ link }) => {
      // Reads one byte more than the limit, to detect a longer text.
      const [text = null] = await link.pipeline([["GETRANGE", key, 0, CONF_BYTES_MAX]]);
      return typeof text === "string" ? text : "";
    });
    for (const text of replies.values()) {
      const adopted = adoptedFrom(text, digest);
      if (adopted !== undefined) return adopted;
    }
    return undefined;
  } finally {
    for (const { link } of nodes) link.close();
  }
}

/** The adopted twine.conf if it differs from the own one; undefined also if no status node returns it within a lease. */
export async function otherAdoptedConf(
  options: StatusNodesOptions,
  view: View | null,
): Promise<ClusterConfig | undefined> {
  const { clock, config } = options;
  if (view === null || view.confDigest === confDigest(config)) return undefined;
  const read = readAdoptedConf(options, view.confDigest);
  return (await within(clock, config.settings.leaseMs, read).catch(() => undefined))?.config;
}

function adoptedFrom(text: string, digest: string): AdoptedConf | undefined {
  if (text.length > CONF_BYTES_MAX || digestOfConf(text) !== digest) return undefined;
  const { config } = parseConf(text, "the adopted twine.conf");
  // The digest matches, but this version may fail to parse a file of a later version.
  return config === undefined ? undefined : { text, config };
}
