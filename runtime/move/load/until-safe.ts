// until-safe.ts: the end of a load: the cluster's replicas have everything too.
import type { Course } from "./course.ts";
import type { Loading } from "./loading.ts";
import type { LoadOptions } from "./load-options.ts";
import type { LoadTargets } from "./load-targets.ts";

const WITHIN_MS = 10_000;
const REST_MS = 100;

export async function untilSafe(
  { loading, targets }: { readonly loading: Loading; readonly targets: LoadTargets },
  { clock, views, onNote }: LoadOptions,
  course: Course,
): Promise<void> {
  const endMs = clock.nowMs() + WITHIN_MS;
  // The first two calls may only settle an earlier mark.
  for (let count = 0; count < 2;) {
    const before = course.steps;
    await course.mark(loading, targets, views.current() ?? targets.view);
    if (course.steps > before) count++;
    if (clock.nowMs() > endMs) {
      onNote("the cluster's replicas don't have everything yet: see twine-status");
      return;
    }
    if (count < 2) await clock.delay(REST_MS);
  }
}
