// self-doubt.ts: decides whether an alpha may call most data nodes dead when they are silent to it. Pure.
//
//   most are silent --down-after--> does a majority of the monitors see the same? --yes--> decide
//                                       | others get answers                           --> give way: one of them leads
//                                       | it can't be known                            --> change nothing, and show it
//
// It is far more likely that the alpha is cut off than that most nodes hang. But the alpha does lead: a majority of the
// status nodes renews its lease. So it needs the reports of other monitors, and the doubt must end.
import { majorityOf } from "../../../core/cluster.ts";
import { isCutOff } from "./node-health.ts";
import type { Observations } from "./observations.ts";

export interface SelfDoubtInput {
  readonly observed: Pick<Observations, "data" | "peers" | "cutOffForMs">;
  readonly monitorCount: number;
  readonly downAfterMs: number;
}

export type SelfDoubt =
  | { readonly kind: "none" }
  /** Nothing is decided; `why` is shown to people. */
  | { readonly kind: "waits"; readonly why: string }
  /** Other monitors reach the nodes: one of them should lead. */
  | { readonly kind: "refuted"; readonly why: string };

/** In down-afters: how long other monitors contradict before the alpha gives way, and how long a single monitor waits. */
const PATIENCE = 5;

/**
 * 1. Most data nodes answer or refuse: no doubt.
 * 2. Less than down-after: wait. After a short network failure the nodes answer again.
 * 3. A majority of the monitors, this one included, is cut off too: no doubt, the nodes are silent.
 * 4. There is no other monitor: no doubt after `PATIENCE`, because no other monitor will ever decide.
 * 5. Another monitor gets answers: give way after `PATIENCE`.
 * 6. Otherwise wait: too few monitors are left to agree that a node is down.
 */
export function selfDoubtOf({
  observed: { data, peers, cutOffForMs },
  monitorCount,
  downAfterMs,
}: SelfDoubtInput): SelfDoubt {
  if (!isCutOff(data)) return { kind: "none" };
  const silent = "most data nodes do not answer the alpha";
  if (cutOffForMs < downAfterMs) return { kind: "waits", why: `${silent}; it asks again` };
  const isPatient = cutOffForMs < PATIENCE * downAfterMs;
  if (monitorCount <= 1) {
    if (!isPatient) return { kind: "none" };
    return { kind: "waits", why: `${silent}, and no other monitor can confirm it; it waits` };
  }
  const alike = [...peers.values()].filter((peer) => peer.isCutOff === true).length;
  const needed = majorityOf(monitorCount);
  if (1 + alike >= needed) return { kind: "none" };
  if (alike === peers.size) {
    const why = `${silent}, and only ${1 + alike} of the ${needed} monitors needed confirm it: start the other monitors (twine-start)`;
    return { kind: "waits", why };
  }
  const why = `${silent}, and other monitors get answers: check the network of the alpha's host`;
  return { kind: isPatient ? "waits" : "refuted", why };
}
