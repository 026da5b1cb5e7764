#!/usr/bin/env node
// twine-follow: moves the data of a running Redis, Sentinel set or twemproxy into this cluster without an outage.
//
//   twine-follow 0 redis://HOST:PORT    the empty partition 0 copies that master and then follows it
//   twine-follow --switch               all following partitions take over at the same time
//   twine-follow --back                 the old masters serve again, with all data
//   twine-follow --finish               ends the possibility to go back
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { loadConf, readPassword, runTool, tool, type ToolOptions } from "../cli/tool.ts";
import { readSecret } from "../cli/secret-file.ts";
import type { ClusterConfig } from "../core/cluster.ts";
import { EXIT, TwineError, usageError } from "../core/errors.ts";
import type { FollowRequest } from "../core/request.ts";
import type { View } from "../core/view.ts";
import { addressFrom, type ImportedNode } from "../move/import/imported.ts";
import { begin } from "../move/follow/begin.ts";
import { goBack, stay, type BackOptions } from "../move/follow/go-back.ts";
import { OldMaster } from "../move/follow/old-master.ts";
import { copyFromOwn, nodesOfPartition, onEach } from "../move/follow/own-nodes.ts";
import { requireNoPassword } from "../move/place-url.ts";
import { bodyOf, switchOver } from "../move/follow/switch-over.ts";
import { systemClock } from "../ports/clock.ts";
import { openRedisLink } from "../ports/redis-link.ts";
import { askAlpha } from "../register/ask-alpha.ts";
import { readChosenView } from "../register/chosen-view.ts";
import { openSharedHashes } from "../register/shared-hashes.ts";

const ANSWER_WITHIN_MS = 15_000;

interface Options extends ToolOptions {
  readonly switch?: boolean;
  readonly oldIsGone?: boolean;
  readonly back?: boolean;
  readonly stay?: boolean;
  readonly finish?: boolean;
  readonly sentinel: readonly string[];
}

function program() {
  const collect = (value: string, before: readonly string[]): string[] => [...before, value];
  return tool({
    name: "twine-follow",
    summary:
      "Moves the data of a running Redis, Sentinel set or twemproxy into this cluster: its nodes copy the old masters, and take over from them.",
    examples: [
      "$ twine-follow 0 redis://10.0.0.1:6666",
      "$ twine-follow --switch --sentinel 10.0.0.1:26379",
      "$ twine-follow --back",
      "$ twine-follow --finish",
    ],
  })
    .argument("[partition]", "an empty partition of this cluster")
    .argument("[url]", "redis://HOST:PORT of the master that it is to follow")
    .option("--switch", "every partition that follows takes over from its old master")
    .option("--old-is-gone", "with --switch: the old masters are lost; take what was copied")
    .option("--sentinel <host:port>", "a Sentinel that watches the old masters", collect, [])
    .option("--back", "the old masters serve again, with everything that was written here")
    .option("--stay", "end a --back that was broken off: this cluster serves on")
    .option("--finish", "forget the old masters, before you stop them");
}

async function main(): Promise<number> {
  const command = program();
  command.parse();
  const options = command.opts<Options>();
  const act = actionOf(command.args, options);
  const { config } = loadConf(options);
  const context = await openContext(config, options);
  try {
    const commands = await act(context);
    if (options.json === true) {
      process.stdout.write(`${JSON.stringify({ ok: true, said: context.said, commands })}\n`);
    }
  } finally {
    await context.close();
  }
  return EXIT.ok;
}

type Act = (context: Context) => Promise<readonly string[]>;

function actionOf(args: readonly string[], options: Options): Act {
  const [partitionText, url] = args;
  const chosen = [options.switch, options.back, options.stay, options.finish].filter(Boolean);
  if (chosen.length + (partitionText === undefined ? 0 : 1) !== 1) {
    throw usageError(
      "ONE_ACTION",
      "name one thing to do",
      "PARTITION URL, --switch, --back, --stay or --finish",
    );
  }
  if (partitionText !== undefined) {
    const partition = /^\d{1,5}$/.test(partitionText) ? Number(partitionText) : -1;
    if (partition < 0)
      throw usageError("PARTITION_BAD", `'${partitionText}' is no partition`, "give its number");
    const old = addressOfUrl(url ?? "");
    return (context) => begin(context.view, partition, old, context).then(() => []);
  }
  if (options.switch === true && options.oldIsGone === true) return takeWhatWasCopied;
  if (options.switch === true) return (context) => switchOver(context.view, context);
  if (options.back === true) return (context) => goBack(context.view, context).then(() => []);
  if (options.stay === true) return (context) => stay(context.view, context).then(() => []);
  return finish;
}

function addressOfUrl(url: string): ImportedNode {
  requireNoPassword(url, "TWINE_SOURCE_PASSWORD_FILE", "redis://HOST:PORT");
  const text = /^redis:\/\/([^/]+)\/?$/.exec(url)?.[1] ?? "";
  const found = addressFrom(text.includes(":") ? text : `${text}:6379`);
  if (found !== undefined) return found;
  throw usageError("URL_BAD", `'${url}' is no URL of a master`, "write redis://HOST:PORT");
}

interface Context extends BackOptions {
  readonly view: View;
  readonly said: string[];
  close(): Promise<void>;
}

async function openContext(config: ClusterConfig, options: Options): Promise<Context> {
  const password = readPassword();
  const ports = { config, password, clock: systemClock, openLink: openRedisLink } as const;
  const readView = (): Promise<View> => readChosenView({ ...ports, user: "app" });
  const view = await readView();
  const hashes = openSharedHashes({ ...ports, user: "monitor" });
  const sourcePassword = secret("TWINE_SOURCE_PASSWORD_FILE", "SOURCE_PASSWORD");
  const source = { clock: systemClock, password: sourcePassword, withinMs: 5_000 };
  const said: string[] = [];
  return {
    ...{ view, readView, password, source, sourcePassword, said },
    ...{ clock: systemClock, openLink: openRedisLink },
    sentinelSource: {
      ...source,
      password: secret("TWINE_SENTINEL_PASSWORD_FILE", "SENTINEL_PASSWORD"),
    },
    sentinels: options.sentinel.map(sentinelFrom),
    by: `twine-follow on ${hostname()}`,
    ask: (body: FollowRequest, withinMs: number) =>
      askAlpha(hashes, body, { clock: systemClock, id: randomUUID(), withinMs }),
    say: (line) => {
      said.push(line);
      if (options.json !== true) process.stdout.write(`${line}\n`);
    },
    close: () => hashes.close(),
  };
}

/** The old masters are lost: the partitions continue with the copied data. */
async function takeWhatWasCopied(context: Context): Promise<readonly string[]> {
  for (const { index: partition, following } of context.view.partitions) {
    if (following?.phase !== "copying") continue;
    await mustBeGone(following, context);
    const nodes = nodesOfPartition(context.view, partition);
    const infos: { replicationId: string; offset: number }[] = [];
    await onEach(nodes, context, async (link) => {
      const text = (await link.call("INFO", "replication")) as string;
      const replicationId = /^master_replid:(\w+)/m.exec(text)?.[1] ?? "";
      infos.push({
        replicationId,
        offset: Number(/^slave_repl_offset:(\d+)/m.exec(text)?.[1] ?? 0),
      });
    });
    const mark = infos.toSorted((a, b) => b.offset - a.offset)[0];
    const pair = { partition, following };
    await context.ask(bodyOf("mark", pair, context, mark), ANSWER_WITHIN_MS);
    await copyFromOwn(nodes, context);
    context.say(await context.ask(bodyOf("promote", pair, context, mark), ANSWER_WITHIN_MS));
  }
  return [];
}

async function mustBeGone(old: ImportedNode, context: Context): Promise<void> {
  let server: OldMaster;
  try {
    server = await OldMaster.open(old, context.source);
  } catch {
    return;
  }
  server.close();
  throw new TwineError({
    code: "OLD_IS_THERE",
    message: `${server.address} still answers: with --old-is-gone, writes that it still accepts would be lost`,
    remedy: "run twine-follow --switch without --old-is-gone, or stop that server first",
  });
}

async function finish(context: Context): Promise<readonly string[]> {
  for (const { index: partition, cameFrom } of context.view.partitions) {
    if (cameFrom === undefined || cameFrom === null) continue;
    const body = bodyOf("finish", { partition, following: cameFrom }, context);
    context.say(await context.ask(body, ANSWER_WITHIN_MS));
  }
  if (context.said.length === 0) {
    context.say("nothing to finish: no partition has a way back to an old master");
  }
  return [];
}

function sentinelFrom(text: string): ImportedNode {
  const found = addressFrom(text);
  if (found !== undefined) return found;
  throw usageError(
    "SENTINEL_BAD",
    `--sentinel ${text} is no address`,
    "write --sentinel HOST:PORT",
  );
}

function secret(
  variable: "TWINE_SOURCE_PASSWORD_FILE" | "TWINE_SENTINEL_PASSWORD_FILE",
  code: "SOURCE_PASSWORD" | "SENTINEL_PASSWORD",
): string | undefined {
  return readSecret(variable, code, process.env)?.trim();
}

await runTool(main);
