// network-cuts.ts: cuts nodes off by rules of nftables that can't outlive this process.
//
//   this process ──stdin──▶ nft -i ──owns──▶ table (flags owner)
//
//   the cut is over, or this process ends      standard input ends, nft ends, the kernel removes the table
//   nft itself is killed                       the kernel removes the table
//
// So nobody has to tidy up: not even kill -9 of both leaves a rule.
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import type { ClusterConfig, ClusterNode } from "../../../runtime/core/cluster.ts";
import { TwineError } from "../../../runtime/core/errors.ts";
import { findProgram } from "../../local/install/redis-program.ts";
import type { SourceAddresses } from "../source-address.ts";
import { cutTable, cutTableName, trialTable } from "./cut-rules.ts";
import type { Cut } from "./schedule.ts";

const MADE_WITHIN_MS = 10_000;
const LOOK_EVERY_MS = 10;
const WORDS_MAX = 300;

/** The cuts of one environment, or why there can be none; then nothing was left behind by trying. */
export async function networkCuts(
  config: ClusterConfig,
  sources: SourceAddresses | undefined,
): Promise<NetworkCuts | { readonly why: string }> {
  if (sources === undefined) {
    return {
      why: "its nodes all connect from 127.0.0.1 (Redis before 7, or more hosts and nodes than 254)",
    };
  }
  const nft = await findProgram("nft", `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`);
  if (nft === undefined) return { why: "there is no nft (package nftables)" };
  const [node] = config.nodes;
  if (node === undefined) return { why: "there is no node" };
  // The table goes with this nft, as it owns it.
  const trial = await run(nft, [trialTable(node)]);
  if (trial.isDone) return new NetworkCuts(nft, config, sources);
  return { why: refusal(trial.words) };
}

export class NetworkCuts {
  readonly #nft: string;
  readonly #config: ClusterConfig;
  readonly #sources: SourceAddresses;
  #owner: ChildProcess | undefined;

  constructor(nft: string, config: ClusterConfig, sources: SourceAddresses) {
    this.#nft = nft;
    this.#config = config;
    this.#sources = sources;
  }

  /** Cut off when this resolves. Throws CHAOS_CUT. */
  async cut(node: ClusterNode, cut: Cut): Promise<void> {
    const child = spawn(this.#nft, ["-i"], {
      // Ctrl-C at a terminal is ours to handle.
      detached: true,
      stdio: ["pipe", "pipe", "pipe"],
    });
    const table = cutTableName(node);
    this.#owner = child;
    let words = "";
    const hear = (text: Buffer): void => {
      words = `${words}${text.toString()}`.slice(0, WORDS_MAX);
    };
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    // It may have ended at once; that is seen below.
    child.stdin.on("error", () => undefined);
    child.on("error", (error) => {
      words = error.message;
    });
    child.stdin.write(`${cutTable(this.#config, this.#sources, node, cut)}\n`);
    const endMs = performance.now() + MADE_WITHIN_MS;
    while (!(await run(this.#nft, ["list", "table", "ip", table])).isDone) {
      if (hasEnded(child) || performance.now() > endMs) throw refused(words);
      await delay(LOOK_EVERY_MS);
    }
  }

  /** Nothing is cut off, and no rule left, when this resolves. */
  async release(): Promise<void> {
    const child = this.#owner;
    this.#owner = undefined;
    if (child === undefined || hasEnded(child)) return;
    const exited = once(child, "exit");
    child.stdin?.end();
    await exited;
  }
}

function run(
  program: string,
  args: readonly string[],
): Promise<{ readonly isDone: boolean; readonly words: string }> {
  return new Promise((done) => {
    execFile(program, args, (error, _stdout, stderr) => {
      done({ isDone: error === null, words: stderr });
    });
  });
}

function hasEnded({ exitCode, signalCode, pid }: ChildProcess): boolean {
  return pid === undefined || exitCode !== null || signalCode !== null;
}

function refused(words: string): TwineError {
  return new TwineError({
    code: "CHAOS_CUT",
    message: refusal(words),
    remedy: "run it as root, or leave the cuts out: twine-env chaos NAME --no-cuts",
  });
}

/** The first of nft's own words says what was wrong. */
function refusal(words: string): string {
  const first = words.trim().split("\n")[0] ?? "";
  return `nft made no rule: ${first === "" ? "it said nothing" : first}`;
}
