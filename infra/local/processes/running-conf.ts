// running-conf.ts: finds data nodes whose settings differ from their redis.conf, because the file was changed after their
// start. Redis reads the file only at its start.
import { join } from "node:path";
import { credentialsOf } from "../../../runtime/core/credentials.ts";
import type { Problem } from "../../../runtime/core/errors.ts";
import {
  differingSettings,
  parseRedisConf,
  settingWords,
  wantedSettings,
  type SettingDifference,
} from "../../../runtime/core/conf/redis-values.ts";
import { withNode, type NodeAddress } from "../ask.ts";
import { eachBounded } from "../bounded.ts";
import type { LocalContext } from "../context.ts";
import { readIfThere } from "../files/files.ts";
import { askAddress, type Target } from "../targets.ts";

const AT_ONCE = 64;

/** Where a node listens and stores its files, its role and its secrets: the monitors change some of them on purpose. */
const OF_TWINE = new Set([
  ...["port", "bind", "protected-mode", "databases", "dir", "logfile", "replicaof", "slaveof"],
  ...["replica-serve-stale-data", "replica-announce-ip", "replica-announce-port", "aclfile"],
  ...["masteruser", "masterauth", "requirepass", "primaryuser", "primaryauth"],
]);

/** Whether Twine itself sets this: no `redis` line may name it. */
export function isOfTwine(name: string): boolean {
  return OF_TWINE.has(name);
}

/** CONF_DIFFERS for each running data node with a setting that differs from its file. Nodes that can't be asked are left
    out. */
export async function confProblems(
  context: LocalContext,
  running: readonly Target[],
): Promise<Problem[]> {
  const found = new Map<string, Problem>();
  const nodes = running.filter(({ service }) => service.kind === "data");
  await eachBounded(nodes, AT_ONCE, async (target) => {
    const differing = await differencesOf(context, target);
    const { name } = target.service;
    if (differing.length > 0) found.set(name, confDiffers(name, differing));
  });
  return nodes.flatMap(({ service }) => found.get(service.name) ?? []);
}

async function differencesOf(
  context: LocalContext,
  { service, paths }: Target,
): Promise<SettingDifference[]> {
  const text = (await readIfThere(join(paths.folder, "redis.conf"))) ?? "";
  return runningDifferences(text, {
    address: askAddress(service),
    port: service.health.port,
    credentials: credentialsOf("monitor", context.password),
  });
}

/** The settings of a redis.conf that the node at this address does not have. Rejects when it can't be asked. */
export async function runningDifferences(
  confText: string,
  node: NodeAddress,
): Promise<SettingDifference[]> {
  const wanted = wantedSettings(parseRedisConf(confText), (name) => OF_TWINE.has(name));
  return differingSettings(wanted, await settingsOf(node, [...wanted.keys()]));
}

/** CONFIG GET of each name; Redis 6 accepts one name per call. */
async function settingsOf(
  node: NodeAddress,
  names: readonly string[],
): Promise<Map<string, string>> {
  const replies = await withNode(node, (redis) =>
    Promise.all(names.map((name) => redis.call("CONFIG", "GET", name))),
  );
  const pairs = (replies as string[][]).filter(([name]) => name !== undefined);
  return new Map(pairs.map(([name = "", value = ""]) => [name, value]));
}

function confDiffers(name: string, differing: readonly SettingDifference[]): Problem {
  return {
    code: "CONF_DIFFERS",
    message: `node ${name} runs with other settings than its redis.conf: ${settingWords(differing)}`,
    remedy:
      "twine-apply sets what Redis can change while it runs, and restarts what must be restarted",
  };
}
