// reshard-progress.ts: reads how far the resharding of a view has come. Only for people, so it never fails.
import type { Request } from "../core/request.ts";
import type { ReshardProgress } from "../core/reshard-progress.ts";
import type { View } from "../core/view.ts";

/** Empty without a resharding, and when the status nodes do not answer. */
export async function readReshardProgress(
  view: View | null,
  readRequests: () => Promise<readonly Request[]>,
): Promise<{ readonly reshardProgress?: ReshardProgress }> {
  if ((view?.reshard ?? null) === null) return {};
  const requests = await readRequests().catch(() => []);
  const reshardProgress = reshardProgressIn(requests, view);
  return reshardProgress === undefined ? {} : { reshardProgress };
}

/** Of the resharding that the view shows; undefined if there is none, or if its tool has not reported yet. */
export function reshardProgressIn(
  requests: readonly Request[],
  view: Pick<View, "reshard"> | null,
): ReshardProgress | undefined {
  const token = view?.reshard?.token;
  if (token === undefined) return undefined;
  for (const { body, state } of requests) {
    const isBeat = body.kind === "reshard" && body.step === "alive" && state === "asked";
    if (isBeat && body.token === token && body.progress !== undefined) return body.progress;
  }
  return undefined;
}
