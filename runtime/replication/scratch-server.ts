// scratch-server.ts: a redis-server of our own in a private folder and on a Unix socket only: it loads a file by Redis's
// own rules, or applies a recorded feed, so that what it then holds can be read or saved.
//
//   we --stdin--> sh: redis-server & ; stdin ended? kill it ; wait ; remove the folder
//
// The shell is there for the day on which we are killed: our end of its standard input closes with us, whatever ended us,
// and the server and its folder go too. A group of their own keeps the terminal's Ctrl-C from both.
import { spawn, type ChildProcess } from "node:child_process";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { TwineError } from "../core/errors.ts";
import type { Clock } from "../ports/clock.ts";
import { itemsOf, textOf, type RespValue } from "../resp/value.ts";
import { openNodeSocket, type NodeSocket } from "./node-socket.ts";

export interface ScratchServer {
  /** Its Unix socket. */
  readonly path: string;
  /** Database numbers that held keys when it had loaded. */
  readonly dbs: readonly number[];
  /** Keys of all databases when it had loaded. */
  readonly keyCount: number;
  /** Rejects with the server's error reply, or when the server is gone. */
  call(...args: (Buffer | string)[]): Promise<RespValue>;
  /** Ends the server and removes its folder. */
  close(): Promise<void>;
}

export interface ScratchOptions {
  /** A folder that is the server's alone: close() removes it, and so does a failed start. */
  readonly folder: string;
  /** Names what is loaded in the error. */
  readonly loads: string;
  readonly clock: Clock;
  /** redis.conf directives beside those that keep the server private. */
  readonly settings?: readonly (readonly [string, ...string[]])[];
  /** Aborting it ends the server. */
  readonly signal?: AbortSignal;
  /** Absent: redis-server of PATH. */
  readonly program?: string;
}

const AOF_NAME = "scratch.aof";
const POLL_MS = 20;
/** A command on a large value takes its time, and nobody else uses the server. */
const REPLY_MS_MAX = 600_000;
const OUTPUT_CHARS_MAX = 2000;

const SCRIPT = `
folder=$1; shift
exec 3<&0
"$@" </dev/null 3<&- & server=$!
exec >/dev/null 2>&1
( cat <&3; kill -9 "$server" ) &
wait "$server"; code=$?
rm -rf -- "$folder"
exit "$code"
`;

/** Where an append only file belongs in a scratch folder: since Redis 7 the server moves it into a folder with a manifest. */
export function aofPath(folder: string): string {
  return join(folder, AOF_NAME);
}

/** Settings of a server that loads the file at aofPath(). */
export const AOF_SETTINGS: readonly (readonly [string, ...string[]])[] = [
  ["appendonly", "yes"],
  ["appendfilename", AOF_NAME],
  ["appendfsync", "no"],
  ["auto-aof-rewrite-percentage", "0"],
  ["aof-load-truncated", "no"],
];

/** Starts a server over the files in `folder` and waits until they are loaded. Throws SCRATCH_FAILED. */
export async function openScratchServer(options: ScratchOptions): Promise<ScratchServer> {
  const { folder, loads, clock } = options;
  const server = new ScratchProcess(options);
  while (!server.isGone()) {
    const socket = await connected(server.path, clock, options.signal);
    // Not async_loading, which is 0 while it loads.
    const text = socket === undefined ? "" : await infoOf(socket);
    if (socket !== undefined && /^loading:0/m.test(text)) return serving(server, socket, text);
    socket?.destroy();
    await Promise.race([server.gone, clock.delay(POLL_MS)]);
  }
  await rm(folder, { recursive: true, force: true });
  throw new TwineError({
    code: "SCRATCH_FAILED",
    message: `a redis-server of its own could not load ${loads}: ${server.lastLines()}`,
    remedy: "install a redis-server at least as new as the one that wrote the file",
  });
}

class ScratchProcess {
  readonly path: string;
  readonly gone: Promise<void>;
  readonly #folder: string;
  readonly #child: ChildProcess;
  #output = "";
  #isGone = false;

  constructor({ folder, settings = [], program = "redis-server", signal }: ScratchOptions) {
    this.#folder = folder;
    this.path = join(folder, "s");
    const given = settings.flatMap(([name, ...values]) => [`--${name}`, ...values]);
    const own = ["--port", "0", "--unixsocket", this.path, "--unixsocketperm", "700"].concat([
      ...["--dir", folder, "--save", "", "--daemonize", "no", "--protected-mode", "no"],
    ]);
    const words = ["-c", SCRIPT, "scratch", folder, program, ...own, ...given];
    const child = spawn("sh", words, { stdio: ["pipe", "pipe", "pipe"], detached: true });
    this.#child = child;
    child.stdin.on("error", () => undefined);
    const end = (): void => {
      child.stdin.end();
    };
    signal?.addEventListener("abort", end);
    if (signal?.aborted === true) end();
    this.gone = new Promise((resolve) => {
      for (const event of ["error", "exit"]) {
        child.once(event, (why: unknown) => {
          if (why instanceof Error) this.#output += why.message;
          this.#isGone = true;
          signal?.removeEventListener("abort", end);
          end();
          resolve();
        });
      }
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (data: Buffer) => {
        this.#output = (this.#output + data.toString()).slice(-OUTPUT_CHARS_MAX);
      });
    }
  }

  isGone(): boolean {
    return this.#isGone;
  }

  lastLines(): string {
    return this.#output.trim().split("\n").slice(-3).join(" | ");
  }

  async close(): Promise<void> {
    this.#child.stdin?.end();
    await this.gone;
    await rm(this.#folder, { recursive: true, force: true });
  }
}

function connected(
  path: string,
  clock: Clock,
  signal: AbortSignal | undefined,
): Promise<NodeSocket | undefined> {
  const options = { clock, signal, silenceMsMax: REPLY_MS_MAX };
  return openNodeSocket({ path }, options).catch(() => undefined);
}

async function infoOf(socket: NodeSocket): Promise<string> {
  return textOf(await socket.call("INFO").catch(() => undefined)) ?? "";
}

function serving(server: ScratchProcess, socket: NodeSocket, info: string): ScratchServer {
  const spaces = [...info.matchAll(/^db(\d+):keys=(\d+)/gm)];
  return {
    path: server.path,
    dbs: spaces.map(([, db]) => Number(db)),
    keyCount: spaces.reduce((sum, [, , keys]) => sum + Number(keys), 0),
    call: (...args) => socket.call(...args),
    close: async () => {
      socket.destroy();
      await server.close();
    },
  };
}

/** SCAN's reply: the next cursor and the keys. */
export function scanned(value: RespValue): { readonly cursor: string; readonly keys: Buffer[] } {
  const [cursor, keys] = itemsOf(value);
  return {
    cursor: textOf(cursor) ?? "0",
    keys: itemsOf(keys).flatMap((key) => (key.type === "bulk" ? [key.bytes] : [])),
  };
}
