// stack-directives.ts: the directives for the programs that route and fail over: Twine's, or twemproxy and Redis
// Sentinel. Pure.
// Printed only if they differ from the defaults, so that a cluster without them keeps its digest.
import type { StackSettings } from "../cluster.ts";
import { choice, file, quiet, type Directive } from "./directive-forms.ts";

export const STACK_DEFAULTS: StackSettings = Object.freeze<StackSettings>({
  router: "twine",
  failover: "twine",
});

export const STACK_DIRECTIVES: readonly Directive[] = Object.freeze([
  quiet(
    choice(
      "router",
      ["twine", "twemproxy"],
      (s) => s.router,
      (router) => ({ router }),
    ),
    (s) => s.router === STACK_DEFAULTS.router,
  ),
  quiet(
    choice(
      "failover",
      ["twine", "sentinel"],
      (s) => s.failover,
      (failover) => ({ failover }),
    ),
    (s) => s.failover === STACK_DEFAULTS.failover,
  ),
  file(
    "twemproxy-staging",
    (s) => s.twemproxyStaging,
    (twemproxyStaging) => ({ twemproxyStaging }),
  ),
]);
