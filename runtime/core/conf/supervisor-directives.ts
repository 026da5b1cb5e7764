// supervisor-directives.ts: the directives of the supervisor, which restarts dead processes on a host: none, monit or
// systemd. Pure.
// Printed only if they differ from the defaults: monitors need not agree on them.
import type { SupervisorSettings } from "../cluster.ts";
import { choice, count, duration, quiet, type Directive } from "./directive-forms.ts";

const HOUR_MS = 3_600_000;

export const SUPERVISOR_DEFAULTS: SupervisorSettings = Object.freeze<SupervisorSettings>({
  supervisor: "none",
  monitEveryMs: 5_000,
  monitPort: 2812,
});

export const SUPERVISOR_DIRECTIVES: readonly Directive[] = Object.freeze([
  quiet(
    choice(
      "supervisor",
      ["none", "monit", "systemd"],
      (s) => s.supervisor,
      (supervisor) => ({ supervisor }),
    ),
    (s) => s.supervisor === SUPERVISOR_DEFAULTS.supervisor,
  ),
  // monit counts in whole seconds.
  quiet(
    duration(
      "monit-every",
      [1_000, HOUR_MS],
      (s) => s.monitEveryMs,
      (ms) => ({ monitEveryMs: ms }),
    ),
    (s) => s.monitEveryMs === SUPERVISOR_DEFAULTS.monitEveryMs,
  ),
  quiet(
    count(
      "monit-port",
      [1, 65_535],
      (s) => s.monitPort,
      (port) => ({ monitPort: port }),
    ),
    (s) => s.monitPort === SUPERVISOR_DEFAULTS.monitPort,
  ),
]);
