// writer-thread.ts: the writers in a thread of their own, so that what the bench does meanwhile (signals, questions) does
// not delay a write, and no write delays a signal.
import { parentPort } from "node:worker_threads";
import { nowMs } from "../machine-clock.ts";
import type { Place } from "./contender.ts";
import { follow, type Follower } from "./follower.ts";
import { Writer, type WriterPlan, type Written } from "./writer.ts";

export interface WriteOrder {
  readonly writers: readonly { readonly plan: WriterPlan; readonly place: Place }[];
}

export type ToThread =
  | { readonly kind: "begin"; readonly order: WriteOrder }
  | { readonly kind: "last-acks" }
  | { readonly kind: "end" };

export type FromThread =
  | { readonly kind: "last-acks"; readonly times: readonly number[] }
  | { readonly kind: "written"; readonly written: readonly Written[] };

let writers: readonly Writer[] = [];
let followers: readonly Follower[] = [];

function begin({ writers: wanted }: WriteOrder): void {
  const byTag = new Map<string, Follower>();
  writers = wanted.map(({ plan, place }) => {
    const follower = byTag.get(place.tag) ?? follow(place.route);
    byTag.set(place.tag, follower);
    return new Writer(plan, follower, nowMs);
  });
  followers = [...byTag.values()];
}

function hear(message: ToThread): FromThread | undefined {
  switch (message.kind) {
    case "begin":
      begin(message.order);
      return undefined;
    case "last-acks":
      return { kind: "last-acks", times: writers.map((writer) => writer.lastAckMs) };
    case "end": {
      const written = writers.map((writer) => writer.end());
      for (const follower of followers) follower.close();
      writers = [];
      followers = [];
      return { kind: "written", written };
    }
  }
}

parentPort?.on("message", (message: ToThread) => {
  const answer = hear(message);
  if (answer !== undefined) parentPort?.postMessage(answer);
});
