// scratch-server.ts: a redis-server of our own, in a folder of its own and on a unix socket only, that loads an
// append only file by Redis's own rules, so that its keys can be taken from it whatever their encoding. Ended and removed by close().
import { spawn, type ChildProcess } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { TwineError } from "../../core/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import { decodeReply } from "../../resp/decode.ts";
import { encodeCommand } from "../../resp/encode.ts";
import { itemsOf, textOf, type RespValue } from "../../resp/value.ts";
import { NodeConnection } from "../node-connection.ts";

export interface ScratchServer {
  /** Database numbers that hold keys. */
  readonly dbs: readonly number[];
  readonly keyCount: number;
  /** Rejects when the server is gone. */
  call(...args: (Buffer | string)[]): Promise<RespValue>;
  close(): Promise<void>;
}

const AOF_NAME = "scratch.aof";
const POLL_MS = 20;

/** Where the file belongs in a scratch folder. Since Redis 7 it is moved from there into a folder with a manifest. */
export function aofPath(folder: string): string {
  return join(folder, AOF_NAME);
}

/** Starts one over the file in `folder` and waits until it is loaded. `loads` names the file in the error. The folder is
    removed by close(), or at once when it throws. Throws SCRATCH_FAILED. */
export async function openScratchServer(
  folder: string,
  loads: string,
  clock: Clock,
): Promise<ScratchServer> {
  const socket = join(folder, "s");
  const child = spawn(
    "redis-server",
    ["--port", "0", "--unixsocket", socket, "--dir", folder, "--save", ""].concat([
      ...["--appendonly", "yes", "--appendfilename", AOF_NAME, "--appendfsync", "no"],
      ...["--auto-aof-rewrite-percentage", "0", "--aof-load-truncated", "no", "--daemonize", "no"],
    ]),
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  let output = "";
  const state = { isGone: false };
  const gone = new Promise<void>((resolve) => {
    for (const event of ["error", "close"]) {
      child.once(event, (why: unknown) => {
        if (why instanceof Error) output += why.message;
        state.isGone = true;
        resolve();
      });
    }
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (data: Buffer) => (output = (output + data.toString()).slice(-2000)));
  }
  const isGone = (): boolean => state.isGone;
  while (!isGone()) {
    const calls = new ScratchCalls(socket, clock);
    const info = await calls.call("INFO").catch(() => undefined);
    const text = textOf(info) ?? "";
    // Not async_loading, which is 0 while it loads.
    if (/^loading:0/m.test(text)) return serving(calls, text, { child, gone, folder });
    calls.close();
    await Promise.race([gone, clock.delay(POLL_MS)]);
  }
  rmSync(folder, { recursive: true, force: true });
  const lastLines = output.trim().split("\n").slice(-3).join(" | ");
  throw new TwineError({
    code: "SCRATCH_FAILED",
    message: `a redis-server of its own could not load ${loads}: ${lastLines}`,
    remedy: "install a redis-server at least as new as the one that wrote the file",
  });
}

function serving(
  calls: ScratchCalls,
  info: string,
  owned: { readonly child: ChildProcess; readonly gone: Promise<void>; readonly folder: string },
): ScratchServer {
  const spaces = [...info.matchAll(/^db(\d+):keys=(\d+)/gm)];
  return {
    dbs: spaces.map(([, db]) => Number(db)),
    keyCount: spaces.reduce((sum, [, , keys]) => sum + Number(keys), 0),
    call: (...args) => calls.call(...args),
    close: async () => {
      calls.close();
      owned.child.kill("SIGKILL");
      await owned.gone;
      rmSync(owned.folder, { recursive: true, force: true });
    },
  };
}

/** Commands over one connection and their replies, in order. */
class ScratchCalls {
  readonly #connection: NodeConnection;
  readonly #waiting: {
    readonly resolve: (value: RespValue) => void;
    readonly reject: (error: Error) => void;
  }[] = [];
  readonly #ready: Promise<void>;

  constructor(path: string, clock: Clock) {
    let isReady: () => void = () => undefined;
    let hasFailed: (error: Error) => void = () => undefined;
    this.#ready = new Promise((resolve, reject) => {
      isReady = resolve;
      hasFailed = reject;
    });
    this.#ready.catch(() => undefined);
    const target = { name: path, host: "", port: 0, path, db: 0 } as const;
    this.#connection = new NodeConnection(
      { ...target, credentials: undefined, incarnation: "" },
      { clock, connectTimeoutMs: 1000 },
      {
        onReady: isReady,
        onReply: (raw) => this.#waiting.shift()?.resolve(decodeReply(raw)),
        onClose: (cause) => {
          hasFailed(new Error(cause));
          for (const { reject } of this.#waiting.splice(0)) reject(new Error(cause));
        },
      },
    );
  }

  async call(...args: (Buffer | string)[]): Promise<RespValue> {
    await this.#ready;
    const value = await new Promise<RespValue>((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#connection.write([encodeCommand(args)]);
    });
    if (value.type === "error") throw new Error(value.text);
    return value;
  }

  close(): void {
    this.#connection.destroy("closed");
  }
}

/** SCAN's reply: the next cursor and the keys. */
export function scanned(value: RespValue): { readonly cursor: string; readonly keys: Buffer[] } {
  const [cursor, keys] = itemsOf(value);
  return {
    cursor: textOf(cursor) ?? "0",
    keys: itemsOf(keys).flatMap((key) => (key.type === "bulk" ? [key.bytes] : [])),
  };
}
