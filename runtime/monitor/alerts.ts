// alerts.ts: shows the alerter what the monitor knows, twice a second, for as long as the monitor runs. The monitor itself
// knows nothing of mail, so that no mail can disturb it.
import { createAlerter, type AlerterOptions, type MailedBoard } from "../alert/alerter.ts";
import type { ClusterConfig } from "../core/cluster.ts";
import { startChore } from "./chore.ts";
import type { Emit } from "./emit.ts";
import type { Monitor } from "./monitor.ts";

export interface AlertsOptions extends Pick<
  AlerterOptions,
  "name" | "clock" | "send" | "templates"
> {
  readonly monitor: Pick<Monitor, "view" | "health" | "isAlphaAlive">;
  readonly config: () => ClusterConfig;
  readonly board: MailedBoard;
  readonly emit: Emit;
  readonly onMail: (outcome: "sent" | "failed") => void;
  readonly onTrouble: (error: unknown) => void;
}

const LOOK_MS = 500;

export function startAlerts(options: AlertsOptions): { stop(): void } {
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
      emit(kind === "sent" ? "+alert" : "-alert", fields);
    },
  });
  const look = (): Promise<void> => {
    const view = monitor.view();
    const isAlpha = monitor.health().isAlpha && monitor.isAlphaAlive();
    if (view !== null) alerter.look(view, isAlpha);
    return Promise.resolve();
  };
  const chore = startChore(clock, () => LOOK_MS, look, onTrouble);
  return {
    stop: () => {
      chore.stop();
      alerter.stop();
    },
  };
}
