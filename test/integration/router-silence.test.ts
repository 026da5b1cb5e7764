// router-silence.test.ts: a connection that says nothing is given up although the view says nothing either: only this
// router may have lost it.
import { describe, expect, test } from "vitest";
import type { Clock } from "../../runtime/ports/clock.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import { encodeCommand } from "../../runtime/resp/encode.ts";
import { NodePipeline } from "../../runtime/engine/pipelines/node-pipeline.ts";
import { builtinRouting, fixedRouting } from "../../runtime/core/routing.ts";
import { RoutedView } from "../../runtime/engine/pipelines/routed-view.ts";
import { pipelineContext } from "../../runtime/engine/pipelines/pipeline-context.ts";
import { loadRules } from "../../runtime/router/rules/reload.ts";
import type { ReplySink } from "../../runtime/engine/pipelines/reply-sink.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { startRouterCluster } from "../support/router-cluster.ts";

/** Real time, which the test can move on. */
class PushedClock implements Clock {
  #aheadMs = 0;
  readonly #timers = new Set<{ readonly atMs: number; readonly task: () => void }>();

  nowMs(): number {
    return systemClock.nowMs() + this.#aheadMs;
  }

  wallTime(): string {
    return systemClock.wallTime();
  }

  after(delayMs: number, task: () => void): () => void {
    const timer = { atMs: this.nowMs() + delayMs, task };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  delay(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.after(delayMs, resolve));
  }

  push(byMs: number): void {
    this.#aheadMs += byMs;
    const due = [...this.#timers].filter(({ atMs }) => atMs <= this.nowMs());
    for (const timer of due) {
      this.#timers.delete(timer);
      timer.task();
    }
  }
}

class Replies implements ReplySink {
  readonly isGone = false;
  readonly owner = this;
  readonly texts: string[] = [];

  take(tag: number, bytes: Buffer, start: number, end: number): void {
    this.texts[tag] = bytes.toString("latin1", start, end);
  }
}

describe.skipIf(isMissing("redis-server"))("a pipeline", () => {
  test("gives a silent connection up after half a minute, and no sooner", async () => {
    const { config, view, servers } = await startRouterCluster({ partitions: 1 });
    const clock = new PushedClock();
    const routing = builtinRouting({ hash: "crc32", partitions: 1 });
    const routed = new RoutedView(view, fixedRouting(routing));
    const rules = await loadRules(config, undefined);
    const context = pipelineContext({ rules, routed, credentials: undefined, clock });
    const port = servers[0]?.port ?? 0;
    const target = { name: "n", host: "127.0.0.1", port, db: 0 };
    const pipeline = new NodePipeline({ partition: 0, protocol: 2, target: () => target }, context);
    const replies = new Replies();
    const send = (tag: number, ...args: string[]): void => {
      const bytes = encodeCommand(args);
      pipeline.submit(replies, tag, bytes, 0, bytes.length, args[0] === "GET");
    };
    send(0, "SET", "a", "1");
    await until("the pipeline is open", () => replies.texts[0] !== undefined);
    servers[0]?.signal("SIGSTOP");
    send(1, "SET", "a", "2");
    // A turn later it is on the wire.
    await until("the turn is over", () => new Promise((resolve) => setImmediate(resolve, true)));
    clock.push(29_000);
    await until("a turn passes", () => new Promise((resolve) => setImmediate(resolve, true)));
    expect(replies.texts[1]).toBeUndefined();
    clock.push(5_000);
    await until("it is given up", () => replies.texts[1] !== undefined);
    expect(replies.texts[1]).toMatch(/^-UNCERTAIN n of partition 0 gave no reply.*silent for/);
    servers[0]?.signal("SIGCONT");
    pipeline.close();
  });
});
