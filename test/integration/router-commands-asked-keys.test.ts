// router-commands-asked-keys.test.ts: a command whose keys only its server can find, as modules have them: the server is asked.
// The commands here are Redis's own, in a table that says no more of them than it would say of such a module's.
import { describe, expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../runtime/ports/clock.ts";
import { loadPartitioner } from "../../runtime/ports/hash-source.ts";
import { systemRandom } from "../../runtime/ports/random.ts";
import { guardedRouting } from "../../runtime/register/guarded-routing.ts";
import type { Placement } from "../../runtime/engine/pipelines/routing-switch.ts";
import { RoutedView } from "../../runtime/engine/pipelines/routed-view.ts";
import { decodeReply } from "../../runtime/resp/decode.ts";
import { encodeCommand } from "../../runtime/resp/encode.ts";
import {
  parseCommandTable,
  type CommandTable,
} from "../../runtime/route/commands/command-table.ts";
import { dispatch } from "../../runtime/engine/dispatch/dispatch.ts";
import type { DispatchContext } from "../../runtime/engine/dispatch/pending-command.ts";
import { pipelineContext } from "../../runtime/engine/pipelines/pipeline-context.ts";
import { NodePipelines } from "../../runtime/engine/pipelines/node-pipelines.ts";
import { loadRules } from "../../runtime/router/rules/reload.ts";
import { isMissing } from "../support/programs.ts";
import {
  startRouterCluster,
  type RawClient,
  type RouterCluster,
} from "../support/router-cluster.ts";

/** The server's table, which says nothing of where these commands' keys stand. */
async function vagueTable(client: RawClient, names: readonly string[]): Promise<CommandTable> {
  const table = parseCommandTable(decodeReply(Buffer.from(await client.call("COMMAND"), "latin1")));
  const flags = new Set(["write", "movablekeys"]);
  return new Map(
    [...table].map(([name, spec]) => [
      name,
      names.includes(name) ? { ...spec, flags, keys: [] } : spec,
    ]),
  );
}

async function contextOf(cluster: RouterCluster, table: CommandTable): Promise<DispatchContext> {
  const { config } = cluster;
  const rules = await loadRules(config, undefined);
  const partitioner = await loadPartitioner(config);
  const routed = new RoutedView(cluster.view, guardedRouting(config, partitioner));
  const shared = pipelineContext({ rules, routed, credentials: undefined, clock: systemClock });
  const random = systemRandom;
  const reroute = (): Placement => () => undefined;
  const pipelines = new NodePipelines({ context: shared, random, routed, reroute });
  onTestFinished(async () => {
    pipelines.close();
    await partitioner.close();
  });
  const commands = {
    table,
    redisVersion: "7.0.15",
    serverName: "redis" as const,
    silence: undefined,
    whenKnown: () => undefined,
    viewChanged: () => undefined,
    close: () => undefined,
  };
  const { stats } = shared;
  return { routed, commands, random, pipelines, stats };
}

function ask(context: DispatchContext, command: string): Promise<string> {
  const args = command.split(" ").map((word) => Buffer.from(word));
  const request = { args, raw: encodeCommand(args) };
  return new Promise((resolve, reject) => {
    const done = (reply: Buffer): void => {
      resolve(reply.toString("latin1"));
    };
    dispatch({ request, protocol: 2, from: { isGone: false }, done }, context)?.catch(reject);
  });
}

describe.skipIf(isMissing("redis-server"))("a command whose keys only its server finds", () => {
  test("goes where the server says that they are, or is refused when that is several places", async () => {
    const cluster = await startRouterCluster({ settings: ["hash-tag {}"] });
    const client = await cluster.client();
    const table = await vagueTable(client, ["zunionstore", "set", "lmpop", "ping"]);
    const context = await contextOf(cluster, table);
    for (const key of ["a", "b", "user:2"]) {
      expect(await ask(context, `SET ${key} ${key}`)).toBe("+OK\r\n");
      expect(await client.call(`GET ${key}`)).toBe(`$${key.length}\r\n${key}\r\n`);
    }
    await client.call("ZADD {t}z 1 m");
    expect(await ask(context, "ZUNIONSTORE {t}d 2 {t}z {t}none")).toBe(":1\r\n");
    expect(await client.call("ZCARD {t}d")).toBe(":1\r\n");
    expect(await ask(context, "ZUNIONSTORE a 1 b")).toMatch(/^-CROSSSLOT .*'a' in \d, 'b' in \d/);
    expect(await ask(context, "LMPOP nonsense a LEFT")).toMatch(/^-ERR Invalid arguments/);
  });
});
