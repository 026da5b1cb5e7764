// moves.ts: the three systems whose move is measured, each with its links and what moves its keys.
import { systemClock as clock } from "../../runtime/ports/clock.ts";
import { openNodeSocket } from "../../runtime/replication/node-socket.ts";
import type { CommandLink } from "../../test/support/counted-writer.ts";
import { ReshardCluster, type Layout } from "../../test/support/reshard-cluster.ts";
import { onEnd } from "../side-by-side.ts";
import { PeerCluster } from "./peer.ts";
import { ScanCopy } from "./scan-copy.ts";

export interface Moved {
  readonly keys: number;
  /** Until the keys were copied, with the start of the tool; undefined: not known. */
  readonly copyMs: number | undefined;
  /** How long requests were held at once; undefined: they are not. */
  readonly heldMs: number | undefined;
}

export interface Movable {
  open(): Promise<CommandLink>;
  /** `more`: options for twine-reshard. */
  move(more: readonly string[]): Promise<Moved>;
}

const SILENCE_MS_MAX = 120_000;

const two = layout(2);
const CASES: Readonly<Record<string, readonly [Layout, Layout]>> = {
  "2to3": [two, layout(3)],
  "2to4": [two, layout(4)],
  "4to2": [layout(4), two],
  crc32to16: [two, layout(2, "hash crc16")],
};

export const MOVES: readonly string[] = [...Object.keys(CASES), "peer", "scan"];

function layout(partitions: number, ...lines: string[]): Layout {
  return { partitions, lines };
}

/** By a name of MOVES; ended by endAll(). */
export async function startMovable(name: string): Promise<Movable> {
  const [from, to] = CASES[name] ?? [];
  if (from !== undefined && to !== undefined) return startTwine(from, to);
  return name === "scan" ? startScanCopy() : startPeer();
}

async function startTwine(from: Layout, to: Layout): Promise<Movable> {
  const cluster = await ReshardCluster.start(from, to, ["redis repl-backlog-size 64mb"]);
  onEnd(() => cluster.remove());
  const address = { host: "127.0.0.1", port: cluster.port("r1") };
  return {
    open: () => openNodeSocket(address, { clock, silenceMsMax: SILENCE_MS_MAX }),
    move: (more) => moveTwine(cluster, more),
  };
}

async function moveTwine(cluster: ReshardCluster, more: readonly string[]): Promise<Moved> {
  const beganMs = clock.nowMs();
  const { child, ended, lines } = cluster.reshard(...more);
  let copyMs: number | undefined;
  child.stderr?.on("data", () => {
    if (/^(verifying|following|switching)/m.test(lines())) copyMs ??= clock.nowMs() - beganMs;
  });
  const { code, out } = await ended;
  const found = /(\d+) keys were copied, and requests were held for (\d+) ms/.exec(out);
  if (code !== 0 || found === null) {
    throw new Error(`twine-reshard ended with ${code}: ${out}${lines()}`);
  }
  process.stderr.write(`${/\(paused.*\)/.exec(out)?.[0] ?? ""}\n`);
  return { keys: Number(found[1]), heldMs: Number(found[2]), copyMs };
}

async function startScanCopy(): Promise<Movable> {
  const copy = await ScanCopy.start();
  return {
    open: () => copy.open(),
    move: async () => ({ keys: await copy.copy(), heldMs: undefined, copyMs: undefined }),
  };
}

async function startPeer(): Promise<Movable> {
  const peer = await PeerCluster.start();
  return {
    open: () => peer.open(),
    move: async () => ({ keys: await peer.reshard(), heldMs: undefined, copyMs: undefined }),
  };
}
