// client-thread.ts: all clients of a trial in a thread of their own, so that the bench's own work (signals, questions to the
// register) delays no reply's time.
import { parentPort } from "node:worker_threads";
import { nowMs } from "../machine-clock.ts";
import { Client, type ClientPlan, type ClientResult } from "./client.ts";

export type ToThread =
  | { readonly kind: "begin"; readonly port: number; readonly plans: readonly ClientPlan[] }
  | { readonly kind: "last-acks" }
  | { readonly kind: "end" };

export type FromThread =
  | { readonly kind: "last-acks"; readonly times: readonly number[] }
  | { readonly kind: "results"; readonly results: readonly ClientResult[] };

let clients: readonly Client[] = [];

async function hear(message: ToThread): Promise<FromThread | undefined> {
  switch (message.kind) {
    case "begin":
      clients = message.plans.map((plan) => new Client(plan, message.port, nowMs));
      return undefined;
    case "last-acks":
      return { kind: "last-acks", times: clients.map(({ lastAckMs }) => lastAckMs) };
    case "end": {
      const results = await Promise.all(clients.map((client) => client.end()));
      clients = [];
      return { kind: "results", results };
    }
  }
}

parentPort?.on("message", (message: ToThread) => {
  void hear(message).then((answer) => {
    if (answer !== undefined) parentPort?.postMessage(answer);
  });
});
