#!/usr/bin/env node
// twine-status: reads the state of the cluster from the status nodes, and reports only what they prove.
//
//   read all status nodes -> a majority answered? -> read again until the alpha's heartbeat advances -> render
//
// It reads twice because a view outlives its alpha: only a heartbeat that advances proves that a view is not stale.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../cli/package-root.ts";
import { loadConf, readPassword, runTool, tool, type ToolOptions } from "../cli/tool.ts";
import type { View } from "../core/view.ts";
import { majorityOf, nodesOf, type ClusterConfig, type StatusNode } from "../core/cluster.ts";
import { EXIT, TwineError } from "../core/errors.ts";
import type { FailureKind } from "../core/failure.ts";
import type { Hashing } from "../core/hashing.ts";
import { requireSameCluster } from "../core/same-cluster.ts";
import { systemClock } from "../ports/clock.ts";
import { loadHashing } from "../ports/hash-source.ts";
import { openRedisLink } from "../ports/redis-link.ts";
import { notWithSentinel } from "../core/not-with-sentinel.ts";
import { sentinelReport } from "../status/sentinel-report.ts";
import { observeStack } from "../twemproxy/observe-stack.ts";
import { otherAdoptedConf, readAdoptedConf } from "../register/adopted-conf.ts";
import { lookTwice, type Readings } from "../register/look-twice.ts";
import { FOREIGN_REMEDY } from "../register/read.ts";
import type { RegisterReading } from "../register/register.ts";
import { readReshardProgress } from "../register/reshard-progress.ts";
import { openSharedHashes } from "../register/shared-hashes.ts";
import { formatOf, STATE_EXIT, type StatusFormat } from "../status/formats.ts";
import { renderHtml } from "../status/html.ts";
import { renderJson } from "../status/json.ts";
import { knowledgeOf, type StatusKnowledge } from "../status/knowledge.ts";
import { renderList } from "../status/list.ts";
import { parseView } from "../core/parse-view.ts";
import { silenceOf } from "../status/problems.ts";
import { forPeople } from "../status/times.ts";
import { reportOf, type StatusReport } from "../status/report.ts";
import { renderSummary } from "../status/summary.ts";
import { renderXml } from "../status/xml.ts";

async function main(): Promise<number> {
  const program = tool({
    name: "twine-status",
    summary: "Shows the state of the cluster, as the status nodes know it.",
    examples: [
      "$ twine-status",
      "$ twine-status list | grep dead",
      "$ twine-status html > status.html",
      "$ twine-status json | jq -r '.partitions[].master'",
      "$ twine-status conf > adopted.conf   # the twine.conf by which the cluster runs",
    ],
    exitCodes: {
      0: "OK",
      1: "the status nodes can't be reached, or are another cluster's; the error says which and why",
      10: "DEGRADED: every partition has a master, but something is dead, silent or not in sync",
      20: "HALT: some partition has no master, or no monitor can ever become alpha",
    },
  }).argument("[format]", "summary, list, xml, html, json or conf (default: summary)");
  program.parse();
  const options = program.opts<ToolOptions>();
  const format = formatOf(program.args[0], options.json === true);
  const { config } = loadConf(options);
  if (config.settings.failover === "sentinel") return await sentinelsStatus(config, format);
  const [readings, hashing] = await Promise.all([look(config), ownHashing(config)]);
  const known = knowledgeOf(readings);
  const knowledge = { ...known, ...(await moveUnderWay(config, known.view)) };
  requireSameCluster(knowledge.view, config);
  if (format === "conf") {
    process.stdout.write(await adoptedConf(config, knowledge.view));
    return EXIT.ok;
  }
  const ports = { config, password: readPassword(), clock: systemClock, openLink: openRedisLink };
  const other = await otherAdoptedConf(ports, knowledge.view);
  const report = reportOf(config, knowledge, hashing, other, systemClock.wallTime());
  process.stdout.write(render(report, format));
  return STATE_EXIT[report.state];
}

async function moveUnderWay(
  config: ClusterConfig,
  view: View | null,
): Promise<Pick<StatusKnowledge, "reshardProgress">> {
  const ports = { config, password: readPassword(), clock: systemClock, openLink: openRedisLink };
  const hashes = openSharedHashes(ports);
  try {
    return await readReshardProgress(view, () => hashes.readRequests());
  } finally {
    await hashes.close();
  }
}

/** There is no register, so every node is asked. */
async function sentinelsStatus(config: ClusterConfig, format: StatusFormat): Promise<number> {
  if (format === "conf")
    throw notWithSentinel("twine-status conf", "the file is twine.conf itself");
  const ports = { config, password: readPassword(), clock: systemClock, openLink: openRedisLink };
  const report = sentinelReport(config, await observeStack(ports));
  process.stdout.write(render(report, format));
  return STATE_EXIT[report.state];
}

/**
 * undefined when the function can't be run here: the state of the cluster is shown anyway. An executable would run hundreds
 * of times for it; routers and monitors run it when they start.
 */
function ownHashing(config: ClusterConfig): Promise<Hashing | undefined> {
  if (config.settings.hash.kind === "executable") return Promise.resolve(undefined);
  return loadHashing(config).catch(() => undefined);
}

function look(config: ClusterConfig): Promise<Readings> {
  const ports = { clock: systemClock, openLink: openRedisLink };
  return lookTwice({ config, password: readPassword(), ...ports }, (first) => {
    requireMajority(config, first);
  });
}

/** Fewer than a majority prove nothing: their view may be outdated. */
function requireMajority(config: ClusterConfig, reading: RegisterReading): void {
  const statusNodes = nodesOf(config, "status");
  const needed = majorityOf(statusNodes.length);
  if (reading.answered.length >= needed) return;
  const lost = statusNodes.filter((node) => !reading.answered.includes(node.name));
  const reasons = lost
    .flatMap(({ name }) => reading.silent.get(name) ?? [])
    .map((failure) => `\n  ${failure.node} ${silenceOf(failure)}`)
    .join("");
  const isOf = (kind: FailureKind) => (node: StatusNode) =>
    reading.silent.get(node.name)?.kind === kind;
  const isLocked = lost.some(isOf("login"));
  const foreign = lost.filter(isOf("foreign"));
  const silent = lost.filter((node) => !foreign.includes(node));
  const remedies = new Set([
    ...(foreign.length === 0 ? [] : [FOREIGN_REMEDY]),
    ...silent.map((node) => `twine-start ${node.host}`),
  ]);
  throw new TwineError({
    code: "STATUS_UNREACHABLE",
    message:
      `${reading.answered.length} of ${statusNodes.length} status nodes answered; at least ${needed} must answer ` +
      `before the state can be reported${reasons}${lastWords(reading)}`,
    remedy: isLocked
      ? "let TWINE_PASSWORD_FILE name the file that holds the cluster's password"
      : [...remedies].join("; "),
  });
}

/** The view of the status nodes that answered, for the user's information; no state is derived from it. */
function lastWords(reading: RegisterReading): string {
  const body = reading.value?.body ?? null;
  if (body === null) return "";
  const { state, epoch, revision, updatedAt } = parseView(body);
  const when = `epoch ${epoch}, revision ${revision}, ${forPeople(updatedAt)}`;
  return `\n  the newest view on ${reading.answered.join(" and ")}: ${state} (${when})`;
}

/** Throws CONF_NOT_HELD. */
async function adoptedConf(config: ClusterConfig, view: View | null): Promise<string> {
  const ports = { config, password: readPassword(), clock: systemClock, openLink: openRedisLink };
  const adopted = view === null ? undefined : await readAdoptedConf(ports, view.confDigest);
  if (adopted !== undefined) return adopted.text;
  throw new TwineError({
    code: "CONF_NOT_HELD",
    message:
      view === null
        ? "the status nodes hold no view yet, so no twine.conf has been adopted"
        : "no status node that answered holds the adopted twine.conf",
    remedy: "wait until a monitor is alpha (twine-status), then ask again",
  });
}

function render(report: StatusReport, format: Exclude<StatusFormat, "conf">): string {
  switch (format) {
    case "summary": {
      const color = process.stdout.isTTY && (process.env["NO_COLOR"] ?? "") === "";
      return renderSummary(report, { color, width: process.stdout.columns || 80 });
    }
    case "list":
      return renderList(report);
    case "xml":
      return renderXml(report);
    case "html":
      return renderHtml(
        report,
        readFileSync(join(packageRoot(), "templates/status.html.hbs"), "utf8"),
        systemClock.wallTime(),
      );
    case "json":
      return renderJson(report);
  }
}

await runTool(main);
