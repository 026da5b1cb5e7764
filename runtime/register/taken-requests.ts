// taken-requests.ts: whether a request is executed or withdrawn: each needs a majority of the status nodes, and a node that
// has noted one of them refuses the other.
import { majorityOf } from "../core/cluster.ts";
import type { Request } from "../core/request.ts";
import { gather } from "./gather.ts";
import type { ReconnectingLink } from "./reconnecting-link.ts";
import { REPLACE_SCRIPT } from "./shared-scripts.ts";

/** Is in the JSON of every question without an answer. Can't occur inside a string, where quotes are escaped. */
export const ASKED_TEXT = '"state":"asked"';
const TAKEN_TEXT = '"isTaken":true';

export interface StatusLink {
  readonly name: string;
  readonly link: ReconnectingLink;
}

export interface TakenRequests {
  /** For the alpha: whether it may execute the request. Never rejects. */
  takeRequest(request: Request): Promise<boolean>;
  /** For the tool, with the request as refused: true if no alpha will execute it. Never rejects. */
  withdrawRequest(request: Request): Promise<boolean>;
}

export function takenRequests(nodes: readonly StatusLink[], key: string): TakenRequests {
  return {
    // An alpha before may have taken it and stopped.
    takeRequest: (request) => replaceOnMost(nodes, key, { ...request, isTaken: true }, ""),
    withdrawRequest: (request) => replaceOnMost(nodes, key, request, TAKEN_TEXT),
  };
}

function replaceOnMost(
  nodes: readonly StatusLink[],
  key: string,
  request: Request,
  unless: string,
): Promise<boolean> {
  const { id } = request;
  const script = [REPLACE_SCRIPT, 1, key, id, JSON.stringify(request), ASKED_TEXT, unless] as const;
  const ask = async ({ link }: StatusLink): Promise<boolean> => {
    const [reply] = await link.pipeline([["EVAL", ...script]]);
    return reply === 1;
  };
  return gather(nodes, ask, (replies, failures) => {
    const count = [...replies.values()].filter(Boolean).length;
    if (count >= majorityOf(nodes.length)) return true;
    return replies.size + failures.size === nodes.length ? false : undefined;
  });
}
