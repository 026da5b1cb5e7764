// ask-monitor.ts: asks /healthz for the name and the run of a monitor.
import { get } from "node:http";

export interface MonitorAnswer {
  readonly name: string;
  /** Identifies the process. */
  readonly run: string;
}

/** undefined when there is no answer within `withinMs`, or when the answer is not a monitor's. Never rejects. */
export type AskMonitor = (
  host: string,
  port: number,
  withinMs: number,
) => Promise<MonitorAnswer | undefined>;

/** A monitor's answer is far shorter; a program that sends more is not a monitor. */
const ANSWER_BYTES_MAX = 65_536;

export const askMonitorByHttp: AskMonitor = (host, port, withinMs) =>
  new Promise((resolve) => {
    const request = get({ host, port, path: "/healthz", timeout: withinMs, agent: false });
    request.on("timeout", () => request.destroy());
    request.on("error", () => {
      resolve(undefined);
    });
    request.on("response", (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => {
        text += part;
        if (text.length > ANSWER_BYTES_MAX) request.destroy();
      });
      response.on("error", () => undefined);
      response.on("close", () => {
        resolve(answerOf(text));
      });
    });
  });

function answerOf(text: string): MonitorAnswer | undefined {
  try {
    const { name, run } = (JSON.parse(text) ?? {}) as Partial<Record<string, unknown>>;
    return typeof name === "string" && typeof run === "string" ? { name, run } : undefined;
  } catch {
    return undefined;
  }
}
