// routing-switch.test.ts: the end of an engine in the middle of a switch leaves nothing of the routing before.
import { expect, test } from "vitest";
import type { NodePipeline } from "../../../runtime/engine/pipelines/node-pipeline.ts";
import { NodePipelines } from "../../../runtime/engine/pipelines/node-pipelines.ts";
import type { HandedOver } from "../../../runtime/engine/pipelines/pipeline-context.ts";
import {
  RoutingSwitch,
  type SwitchOptions,
} from "../../../runtime/engine/pipelines/routing-switch.ts";

/** A pipeline that waits for replies of its node. */
class Waiting {
  readonly partition = 0;
  isClosed = false;
  quiet: (rest: HandedOver) => void = () => undefined;

  retire(_waitMs: number, handOver: (rest: HandedOver) => void): void {
    this.quiet = handOver;
  }

  close(): void {
    this.isClosed = true;
  }
}

test("pipelines whose replies are still waited for are closed, too", () => {
  const [quiet, waiting] = [new Waiting(), new Waiting()];
  const parts = { context: {}, routed: {} } as unknown as SwitchOptions;
  const routingSwitch = new RoutingSwitch(parts);
  const retiring = [quiet, waiting].map((pipeline) => ({
    pipeline: pipeline as unknown as NodePipeline,
    protocol: 2 as const,
    waitMs: 60_000,
  }));
  routingSwitch.begin(retiring);
  quiet.quiet({ requests: [], broken: new Map() });
  routingSwitch.close();
  expect(quiet.isClosed).toBe(false);
  expect(waiting.isClosed).toBe(true);
});

test("what is asked of a partition for the first time after the end is answered, and opens nothing", () => {
  const context = {
    ...{ closingCause: "the client is closing", bufferedBytes: 0, tick: { nowMs: 0 }, clock: {} },
    ...{ isConfirmed: () => true, stats: { unserved: () => undefined } },
  };
  const pipelines = new NodePipelines({
    ...{ context, routed: { view: undefined } },
  } as unknown as ConstructorParameters<typeof NodePipelines>[0]);
  pipelines.close();
  const replies: string[] = [];
  const sink = {
    ...{ owner: { isGone: false }, isGone: false },
    take: (_tag: number, bytes: Buffer, start: number, end: number) => {
      replies.push(bytes.toString("latin1", start, end));
    },
  };
  const command = Buffer.from("*2\r\n$3\r\nGET\r\n$1\r\na\r\n");
  pipelines.of(0, 2, true).submit(sink, 0, command, 0, command.length, true);
  expect(replies).toEqual([expect.stringContaining("the client is closing")]);
});
