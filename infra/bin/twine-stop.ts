#!/usr/bin/env node
// twine-stop [host|node]: stops the processes that twine-start started on this machine, routers first, status nodes last;
// or one node alone. Unless the whole cluster stops, masters are handed over first.
// Listens for Ctrl-C before it loads its other modules, so that even an early Ctrl-C prints which processes still run.
import type { ToolOptions } from "../../runtime/cli/tool.ts";
import type { RequestBody } from "../../runtime/core/request.ts";
import type { LocalRequest } from "../local/context.ts";
import { interruption } from "../local/interruption.ts";
import type { LeftOver } from "../local/files/left-overs.ts";
import type { KnownRole, MasterToMove } from "../local/hand-over.ts";

const signal = interruption();
const { addressOf } = await import("../../runtime/core/cluster.ts");
const { credentialsOf } = await import("../../runtime/core/credentials.ts");
const { EXIT, TwineError } = await import("../../runtime/core/errors.ts");
const { askNode, roleIn } = await import("../local/ask.ts");
const { Option } = await import("commander");
const { loadConf, printWarnings, readPassword, runTool, tool } =
  await import("../../runtime/cli/tool.ts");
const { twineHome } = await import("../../runtime/cli/package-root.ts");
const { findLeftNode, hostNamesHere, requireHere, stop } = await import("../local/commands.ts");
const { namesOf } = await import("../local/files/names.ts");
const { eachBounded } = await import("../local/bounded.ts");
const { nodesToAsk, planStop } = await import("../local/hand-over.ts");
const { elsewhereError } = await import("../local/processes/elsewhere.ts");
const { toolProgress } = await import("../local/tool-progress.ts");

const ASK_AT_ONCE = 64;

interface StopOptions extends ToolOptions {
  readonly handover: boolean;
  readonly force?: boolean;
  readonly forMonit?: boolean;
  readonly onlyHandover?: boolean;
}

async function main(): Promise<number> {
  const program = tool({
    name: "twine-stop",
    summary:
      "Stops the routers, monitors and nodes of this machine in an order that loses no write. Data is saved first. " +
      "If other hosts keep running, each master is handed over first.",
    examples: [
      "$ twine-stop",
      "$ twine-stop db1",
      "$ twine-stop a6666",
      "$ twine-stop --json | jq .stopped",
    ],
    exitCodes: {
      1: "a node did not end, runs from another folder, or must not stop; the error says which and why",
      130: "interrupted; the error says what was stopped and what still runs",
    },
  })
    .argument(
      "[what]",
      "a host or a node, also one that twine.conf no longer has (default: the hosts whose address is this machine's)",
    )
    .option("--force", "stop even if a partition then has no master, or too few status nodes run")
    .option(
      "--no-handover",
      "stop masters at once: their partitions have no master until a replica is promoted",
    )
    .option("--only-handover", "hand masters over and stop nothing, e.g. before systemd stops them")
    // Used in monitrc only; users do not need it.
    .addOption(new Option("--for-monit", "monit asks for it").hideHelp());
  program.parse();
  const options = program.opts<StopOptions>();
  const { config } = loadConf(options);
  const [what] = program.args;
  const request = {
    config,
    dir: options.dir,
    password: readPassword(),
    home: twineHome(),
    progress: toolProgress(options.json === true),
    signal,
    isFromMonit: options.forMonit,
  };
  const { where, stopping, left } = await meaningOf(request, what);
  if (options.handover) {
    if (left !== undefined) await handOverLeft(request, left, options.force === true);
    await handOverAll({ ...request, what }, stopping, options.force === true);
  }
  if (options.onlyHandover === true) return EXIT.ok;
  const report = await stop({ ...request, ...where });
  const { stopped, notRunning, elsewhere } = report;
  if (options.json === true) process.stdout.write(`${JSON.stringify(report)}\n`);
  else {
    printWarnings(report.warnings);
    process.stdout.write(`${stopped.length} stopped, ${notRunning.length} were not running\n`);
  }
  if (elsewhere.length > 0) throw elsewhereError(elsewhere);
  return EXIT.ok;
}

interface Meaning {
  readonly where: Pick<LocalRequest, "host" | "nodes" | "leftOvers">;
  /** Names of the nodes of twine.conf that stop. */
  readonly stopping: ReadonlySet<string>;
  /** A node that runs here although twine.conf no longer has it, or has it on another host. */
  readonly left?: LeftOver;
}

/** A host takes precedence over a node of the same name, and a node of twine.conf over a removed one. */
async function meaningOf(request: LocalRequest, what: string | undefined): Promise<Meaning> {
  const { nodes } = request.config;
  if (what === undefined || nodes.some(({ host }) => host === what)) {
    const here = await hostNamesHere({ ...request, host: what });
    const stopping = nodes.filter(({ host }) => here.includes(host)).map(({ name }) => name);
    return { where: { host: what }, stopping: new Set(stopping) };
  }
  const left = await findLeftNode(request, what);
  if (left !== undefined) {
    const where = { host: left.host, nodes: [], leftOvers: [what] };
    return { where, stopping: new Set(), left };
  }
  const node = nodes.find(({ name }) => name === what);
  if (node === undefined) return { where: { host: what }, stopping: new Set() };
  const where = { host: node.host, nodes: [node.name] };
  // Check that the node runs on this machine before moving its master.
  await requireHere({ ...request, ...where });
  return { where, stopping: new Set([node.name]) };
}

/** Moves every master that stops to a node that stays. Throws PASSWORD_DIFFERS, LEAVES_NO_MASTER, LEAVES_NO_MAJORITY or
    HANDOVER_FAILED, and nothing is stopped then; with `isForced` it moves as many as it can. */
async function handOverAll(
  request: LocalRequest & { readonly what: string | undefined },
  stopping: ReadonlySet<string>,
  isForced: boolean,
): Promise<void> {
  const { config, password, progress, what } = request;
  const roles = new Map<string, KnownRole>();
  const credentials = credentialsOf("health", password);
  const asked = new Set(nodesToAsk(config, stopping));
  const nodes = config.nodes.filter(({ name }) => asked.has(name));
  const refusing: string[] = [];
  await eachBounded(nodes, ASK_AT_ONCE, async ({ name, host, port }) => {
    const answer = await askNode(addressOf(host), port, credentials);
    roles.set(name, roleIn(answer));
    if (answer.kind === "login") refusing.push(name);
  });
  if (refusing.length > 0 && !isForced) throw rolesUnknown(refusing, what);
  const { masters, problems } = planStop(config, stopping, roles);
  if (problems.length > 0 && !isForced) throw new TwineError(problems);
  for (const { name, partition, candidates } of masters) {
    if (candidates.length === 0) continue;
    const refusals: string[] = [];
    const moved =
      config.settings.failover === "sentinel"
        ? await sentinelMoves(request, { name, partition, candidates }, refusals)
        : await firstToTakeOver(request, candidates, refusals);
    if (moved !== undefined) progress.note(`${moved}: master of partition ${partition} now`);
    else if (!isForced) {
      throw notHandedOver({ name, what }, `master of partition ${partition}`, refusals);
    }
  }
}

/** Sentinel chooses the new master; undefined, with the reason, when it refuses or its choice stops as well. */
async function sentinelMoves(
  { config, password }: LocalRequest,
  { name, partition, candidates }: MasterToMove,
  refusals: string[],
): Promise<string | undefined> {
  const [{ systemClock: clock }, { openRedisLink: openLink }, { askFailover }] = await Promise.all([
    import("../../runtime/ports/clock.ts"),
    import("../../runtime/ports/redis-link.ts"),
    import("../../runtime/twemproxy/ask-failover.ts"),
  ]);
  const answer = await askFailover({ config, password, clock, openLink }, partition, name);
  if (answer.kind === "refused") refusals.push(answer.why);
  else if (candidates.includes(answer.to)) return answer.to;
  else refusals.push(`Sentinel chose ${answer.to}, which stops as well`);
  return undefined;
}

/** The first candidate that the alpha makes master; undefined, with the reasons, when it refuses all of them. */
async function firstToTakeOver(
  request: LocalRequest,
  candidates: readonly string[],
  refusals: string[],
): Promise<string | undefined> {
  for (const node of candidates) {
    const refusal = await refusalOf(request, { kind: "promote-to", node });
    if (refusal === undefined) return node;
    refusals.push(`${node}: ${refusal}`);
  }
  return undefined;
}

/** Only the alpha knows the node's former partition, and which node can take over. */
async function handOverLeft(
  request: LocalRequest,
  { name, running, redis }: LeftOver,
  isForced: boolean,
): Promise<void> {
  if (running === undefined || redis?.kind !== "data") return;
  const credentials = credentialsOf("health", request.password);
  const answer = await askNode(redis.address, redis.port, credentials);
  if (answer.kind === "login" && !isForced) throw rolesUnknown([name], name);
  if (roleIn(answer) !== "master") return;
  const moved = request.config.nodes.find((node) => node.name === name);
  // By name alone the alpha might confuse it with the node of that name on the other host.
  const refusal =
    moved === undefined
      ? await refusalOf(request, { kind: "handover", node: name })
      : `twine.conf has ${name} on host ${moved.host} now, and this one hands over by itself`;
  if (refusal !== undefined && !isForced) {
    throw notHandedOver({ name, what: name }, "still a master", [refusal]);
  }
}

/** A node that refuses the login may be a master, or a status node that a majority needs. */
function rolesUnknown(refusing: readonly string[], what: string | undefined): Error {
  return new TwineError({
    code: "PASSWORD_DIFFERS",
    message: `${namesOf(refusing)} refused the password, and may be a master or needed for a majority; nothing was stopped`,
    remedy:
      "let TWINE_PASSWORD_FILE name the password with which the nodes run; " +
      `or stop without a handover: ${withoutHandover(what)}`,
  });
}

function withoutHandover(what: string | undefined): string {
  return ["twine-stop", what, "--no-handover"].filter((word) => word !== undefined).join(" ");
}

function notHandedOver(
  { name, what }: { readonly name: string; readonly what: string | undefined },
  role: string,
  reasons: readonly string[],
): Error {
  return new TwineError({
    code: "HANDOVER_FAILED",
    message: `${name} is ${role} and was not stopped: ${reasons.join("; ")}`,
    remedy: `see twine-status and try again, or stop it all the same: ${withoutHandover(what)}`,
  });
}

/** Asks the alpha; undefined when it has done it, otherwise the reason. */
async function refusalOf(
  { config, password }: LocalRequest,
  body: RequestBody,
): Promise<string | undefined> {
  // Loaded only when needed.
  const [{ systemClock: clock }, { openRedisLink: openLink }, alpha] = await Promise.all([
    import("../../runtime/ports/clock.ts"),
    import("../../runtime/ports/redis-link.ts"),
    import("../../runtime/register/ask-once.ts"),
  ]);
  return alpha.refusalOf({ config, password, clock, openLink }, body);
}

await runTool(main);
