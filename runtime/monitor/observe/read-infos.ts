// read-infos.ts: what every data node of a view says of itself, asked once, for tools that look and do not lead.
import { addressOf } from "../../core/cluster.ts";
import { credentialsOf } from "../../core/credentials.ts";
import type { View } from "../../core/view.ts";
import type { OpenLink } from "../../ports/redis-link.ts";
import { INFO_SECTIONS, parseInfo, type NodeInfo } from "../decide/info.ts";

export interface ReadInfosOptions {
  /** The operator's secret, or undefined: no authentication. */
  readonly password: string | undefined;
  readonly openLink: OpenLink;
  readonly withinMs: number;
}

/** Connections; thousands of nodes must not need thousands of files open. */
const AT_ONCE = 200;

/** By node name; a node that does not answer in time is missing. */
export async function readInfos(
  view: View,
  options: ReadInfosOptions,
): Promise<Map<string, NodeInfo>> {
  const infos = new Map<string, NodeInfo>();
  const read = async (name: string, host: string, port: number): Promise<void> => {
    const { password, openLink, withinMs } = options;
    const link = await openLink(
      { host: addressOf(host), port },
      {
        credentials: credentialsOf("app", password),
        connectTimeoutMs: withinMs,
        commandTimeoutMs: withinMs,
      },
    );
    try {
      // Redis before 7 takes one section only, and gives all without one.
      const text = await link.call("INFO", ...INFO_SECTIONS).catch(() => link.call("INFO"));
      const info = typeof text === "string" ? parseInfo(text) : undefined;
      if (info !== undefined) infos.set(name, info);
    } finally {
      link.close();
    }
  };
  const data = view.nodes.filter(({ kind }) => kind === "data");
  for (let from = 0; from < data.length; from += AT_ONCE) {
    const some = data.slice(from, from + AT_ONCE);
    await Promise.allSettled(some.map(({ name, host, port }) => read(name, host, port)));
  }
  return infos;
}
