// alert-count.ts: the metric for the mails that this monitor has sent, or tried to send.
import { Counter, type Registry } from "prom-client";
import type { Metric } from "./exposition.ts";

const MAILS: Metric = {
  name: "twine_alert_mails_total",
  type: "counter",
  labels: ["outcome"],
  help: "Mails that this monitor handed to the SMTP server (sent), and attempts in vain (failed)",
};

export const ALERT_METRICS: readonly Metric[] = [MAILS];

/** Returns a function that counts one mail. Both outcomes are in `registry` from the start, at 0. */
export function countMails(registry: Registry): (outcome: "sent" | "failed") => void {
  const { name, help, labels } = MAILS;
  const counter = new Counter({ name, help, labelNames: [...labels], registers: [registry] });
  for (const outcome of ["sent", "failed"]) counter.inc({ outcome }, 0);
  return (outcome) => {
    counter.inc({ outcome });
  };
}
