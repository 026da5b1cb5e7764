#!/usr/bin/env node
// twine-status: asks the status nodes how the cluster is, and says no more than they can prove.
//
//   read all status nodes -> a majority answered? -> look again until the alpha's heartbeat advances -> render
//
// Looking twice is the point: a view outlives its alpha, and only a heartbeat that moves tells a true one from a stale.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../cli/package-root.ts";
import { loadConf, readPassword, runTool, tool, type ToolOptions } from "../cli/tool.ts";
import { majorityOf, nodesOf, type ClusterConfig } from "../core/cluster.ts";
import { TwineError } from "../core/errors.ts";
import { requireSameCluster } from "../core/same-cluster.ts";
import { systemClock } from "../ports/clock.ts";
import { openRedisLink } from "../ports/redis-link.ts";
import { lookTwice, type Readings } from "../register/look-twice.ts";
import { FOREIGN_REMEDY, isForeign } from "../register/read.ts";
import type { RegisterReading } from "../register/register.ts";
import { formatOf, STATE_EXIT, type StatusFormat } from "../status/formats.ts";
import { renderHtml } from "../status/html.ts";
import { renderJson } from "../status/json.ts";
import { knowledgeOf } from "../status/knowledge.ts";
import { renderList } from "../status/list.ts";
import { parseView } from "../status/parse-view.ts";
import { forPeople, silenceOf } from "../status/problems.ts";
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
    ],
    exitCodes: {
      0: "OK",
      1: "the status nodes can't be reached, or are another cluster's; the error says which and why",
      10: "DEGRADED: every partition has a master, but something is dead, silent or not in sync",
      20: "HALT: some partition has no master, or no monitor can ever become alpha",
    },
  }).argument("[format]", "summary, list, xml, html or json (default: summary)");
  program.parse();
  const options = program.opts<ToolOptions>();
  const format = formatOf(program.args[0], options.json === true);
  const { config } = loadConf(options);
  const knowledge = knowledgeOf(await look(config));
  requireSameCluster(knowledge.view, config);
  const report = reportOf(config, knowledge);
  write(render(report, format));
  return STATE_EXIT[report.state];
}

function look(config: ClusterConfig): Promise<Readings> {
  const ports = { clock: systemClock, openLink: openRedisLink };
  return lookTwice({ config, password: readPassword(), ...ports }, (first) => {
    requireMajority(config, first);
  });
}

/** Fewer than a majority prove nothing: what they hold may have been overtaken elsewhere. */
function requireMajority(config: ClusterConfig, reading: RegisterReading): void {
  const statusNodes = nodesOf(config, "status");
  const needed = majorityOf(statusNodes.length);
  if (reading.answered.length >= needed) return;
  const lost = statusNodes.filter((node) => !reading.answered.includes(node.name));
  const whyOf = (name: string): string => reading.silent.get(name) ?? "no reason given";
  const reasons = lost.map(({ name }) => `\n  ${name} ${silenceOf(whyOf(name))}`).join("");
  const isLocked = lost.some(({ name }) => /NOAUTH|WRONGPASS|NOPERM/.test(whyOf(name)));
  const foreign = lost.filter(({ name }) => isForeign(whyOf(name)));
  const silent = lost.filter((node) => !foreign.includes(node));
  const remedies = new Set([
    ...(foreign.length === 0 ? [] : [FOREIGN_REMEDY]),
    ...silent.map((node) => `twine-start ${node.host}`),
  ]);
  throw new TwineError({
    code: "STATUS_UNREACHABLE",
    message:
      `${reading.answered.length} of ${statusNodes.length} status nodes answer, ` +
      `and only ${needed} prove anything${reasons}${lastWords(reading)}`,
    remedy: isLocked
      ? "let TWINE_PASSWORD_FILE name the file that holds the cluster's password"
      : [...remedies].join("; "),
  });
}

/** What the few still hold, for a person who wants to know how it was; no state is claimed from it. */
function lastWords(reading: RegisterReading): string {
  const body = reading.value?.body ?? null;
  if (body === null) return "";
  const { state, epoch, revision, updatedAt } = parseView(body);
  const when = `epoch ${epoch}, revision ${revision}, ${forPeople(updatedAt)}`;
  return `\n  the last view that ${reading.answered.join(" and ")} heard of said ${state} (${when})`;
}

function render(report: StatusReport, format: StatusFormat): string {
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
      );
    case "json":
      return renderJson(report);
  }
}

/** A reader that has seen enough, like head, closes the pipe: no reason to complain. */
function write(text: string): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
  process.stdout.write(text);
}

await runTool(main);
