// other-alphas.ts: finds the connections of alphas to a data node by their names; the newest alpha closes the others.
// https://redis.io/docs/latest/commands/client-list/
import type { RedisLink } from "../../ports/redis-link.ts";

/**
 * Closes the connections named twined:NAME:EPOCH of lower epochs, and those of this epoch except `link`: a command may
 * still be buffered in one of them. Resolves to their number.
 */
export async function closeOtherAlphas(link: RedisLink, epoch: number): Promise<number> {
  const [list, own] = await Promise.all([
    link.call("CLIENT", "LIST", "TYPE", "normal"),
    link.call("CLIENT", "ID"),
  ]);
  const others = typeof list === "string" ? otherAlphas(list, epoch, `${own as number}`) : [];
  await Promise.all(others.map((id) => link.call("CLIENT", "KILL", "ID", id)));
  return others.length;
}

/** The ids of the alphas' connections in a CLIENT LIST with epochs up to `epoch`, except the connection `own`. */
export function otherAlphas(clientList: string, epoch: number, own: string): string[] {
  const ids: string[] = [];
  for (const line of clientList.split("\n")) {
    const found = /^id=(\d+) .*\bname=twined:[^: ]+:(\d+)( |$)/.exec(line);
    const [, id = "", heldEpoch = ""] = found ?? [];
    if (found !== null && Number(heldEpoch) <= epoch && id !== own) ids.push(id);
  }
  return ids;
}
