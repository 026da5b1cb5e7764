// read-infos.ts: asks every data node of a view once for INFO, for tools that only read.
import { addressOf } from "../../core/cluster.ts";
import { credentialsOf, type Secret } from "../../core/credentials.ts";
import type { View } from "../../core/view.ts";
import type { OpenLink } from "../../ports/redis-link.ts";
import { INFO_SECTIONS, parseInfo, type NodeInfo } from "../decide/nodes/info.ts";

export interface ReadInfosOptions {
  /** The operator's password; undefined: no authentication. */
  readonly password: Secret | undefined;
  readonly openLink: OpenLink;
  readonly withinMs: number;
}

/** The most connections at once; thousands of nodes must not need thousands of open files. */
const AT_ONCE = 200;

/** By node name; nodes that don't answer in time are missing. */
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
      // Redis before 7 accepts one section only; without one it returns all.
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
