// alerts.ts: gives the monitor's view to the alerter twice a second while the monitor runs. The monitor itself sends no
// mail and waits for none, so mail can't disturb it; it only gets the result of the last mail.
import { createAlerter, type AlerterOptions, type MailedHash } from "../alert/alerter.ts";
import type { ClusterConfig } from "../core/cluster.ts";
import { startPeriodicTask } from "../ports/periodic-task.ts";
import type { Emit } from "./emit.ts";
import type { Monitor } from "./monitor.ts";

export interface AlertsOptions extends Pick<
  AlerterOptions,
  "name" | "clock" | "send" | "templates"
> {
  readonly monitor: Pick<Monitor, "view" | "health" | "isAlphaAlive" | "noteMail">;
  readonly config: () => ClusterConfig;
  readonly hashes: MailedHash;
  readonly emit: Emit;
  readonly onMail: (outcome: "sent" | "failed") => void;
  readonly onTrouble: (error: unknown) => void;
}

const LOOK_MS = 500;

export function startAlerts(options: AlertsOptions): { stop(): Promise<void> } {
  const { monitor, config, clock, emit, onMail, onTrouble } = options;
  const alerter = createAlerter({
    ...options,
    settings: () => {
      const { file, settings } = config();
      const { alertMail, alertSmtp, alertAfterMs } = settings;
      return { to: alertMail, smtp: alertSmtp, alertAfterMs, file };
    },
    onNews: ({ kind, fields }) => {
      onMail(kind);
      monitor.noteMail(kind === "sent" ? "sent" : { failed: String(fields["why"]) });
      emit(kind === "sent" ? "+alert" : "-alert", fields);
    },
  });
  const look = (): void => {
    const view = monitor.view();
    const isAlpha = monitor.health().isAlpha && monitor.isAlphaAlive();
    if (view !== null) alerter.look(view, isAlpha);
  };
  const task = startPeriodicTask({
    clock,
    restMs: () => LOOK_MS,
    run: look,
    onError: onTrouble,
  });
  return {
    stop: async () => {
      await task.stop();
      alerter.stop();
    },
  };
}
