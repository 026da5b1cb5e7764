// running-load.ts: twine-load as a process, and a client of its source that writes every type of key until it is stopped.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { onTestFinished } from "vitest";
import { binPath } from "./bins.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import { openNodeSocket, type NodeSocket } from "../../runtime/replication/node-socket.ts";
import { until } from "./redis-server.ts";

export interface RunningLoad {
  readonly child: ChildProcess;
  /** Standard error so far. */
  readonly lines: () => string;
  readonly ended: Promise<{
    readonly code: number | null;
    readonly out: string;
    readonly err: string;
  }>;
  /** Until it says so, or has ended. */
  readonly says: (text: string) => Promise<void>;
}

const SAID_WITHIN_MS = 240_000;

export function startLoad(
  confFile: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): RunningLoad {
  const command = [binPath("twine-load", "runtime"), ...args, "--conf", confFile];
  const child = spawn(process.execPath, command, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let [out, err] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()));
  const ended = once(child, "close").then(() => ({ code: child.exitCode, out, err }));
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null;
  return {
    ...{ child, ended, lines: () => err },
    says: async (text) => {
      await until(
        `twine-load says '${text}'`,
        () => err.includes(text) || hasEnded(),
        SAID_WITHIN_MS,
      ).catch((error: unknown) => {
        throw new Error(`${String(error)}\n${err}`, { cause: error });
      });
      if (!err.includes(text))
        throw new Error(`twine-load ended before it said '${text}':\n${err}`);
    },
  };
}

const KEYS = 100;

/** Every type of key, mostly by commands that must not be executed twice. */
function commandsOf(at: number): string[][] {
  const key = at % KEYS;
  const n = String(at);
  return [
    ["SET", `text:${key}`, n],
    ["INCR", `count:${at % 7}`],
    ["APPEND", `tail:${key}`, "x"],
    ["RPUSH", `list:${key}`, n],
    ["LTRIM", `list:${key}`, "-50", "-1"],
    ["HINCRBY", `hash:${key}`, `f${at % 9}`, "3"],
    ["ZINCRBY", `zset:${key}`, "2", `m${at % 11}`],
    ["SADD", `set:${key}`, String(at % 13)],
    ["SPOP", `set:${(key + 5) % KEYS}`],
    ["XADD", `stream:${at % 5}`, "MAXLEN", "100", "*", "at", n],
    ["SET", `soon:${key}`, n, "EX", "1000"],
    ["DEL", `text:${(key + 50) % KEYS}`],
    [
      "EVAL",
      "redis.call('INCR', KEYS[1]) redis.call('APPEND', KEYS[1], '0') return 1",
      "1",
      `eval:${at % 3}:${Math.floor(at / 3)}`,
    ],
    ["SET", `once:${n}`, n],
  ];
}

export class SourceWriter {
  readonly #login: readonly (readonly string[])[];
  #port: number;
  #socket: NodeSocket | undefined;
  #isOver = false;
  readonly #running: Promise<void>;
  readonly #only: (key: string) => boolean;
  /** Rounds that were acknowledged as a whole. */
  rounds = 0;
  /** Keys that were written by them, and by nobody else. */
  readonly acknowledged: string[] = [];

  /** `login`: commands sent first on each connection. `only`: keys that may be written there. */
  constructor(
    port: number,
    login: readonly (readonly string[])[] = [],
    only: (key: string) => boolean = () => true,
  ) {
    this.#port = port;
    this.#login = login;
    this.#only = only;
    this.#running = this.#run();
  }

  moveTo(port: number): void {
    this.#port = port;
    this.#socket?.destroy();
  }

  /** So many more rounds have been written. */
  async writes(rounds: number): Promise<void> {
    const goal = this.rounds + rounds;
    await until("the source's client has written", () => this.rounds >= goal, 60_000);
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    for (let at = 0; !this.#isOver; at++) {
      try {
        this.#socket ??= await this.#open();
        const socket = this.#socket;
        const commands = commandsOf(at).filter(([word, key = "", , last = ""]) =>
          this.#only(word === "EVAL" ? last : key),
        );
        const answers = await Promise.allSettled(commands.map((words) => socket.call(...words)));
        if (socket.failure !== undefined) throw socket.failure;
        if (answers.every(({ status }) => status === "fulfilled")) {
          this.rounds++;
          this.acknowledged.push(`once:${at}`);
        }
      } catch {
        this.#socket?.destroy();
        this.#socket = undefined;
        await delay(20);
      }
      await delay(2);
    }
    this.#socket?.destroy();
  }

  async #open(): Promise<NodeSocket> {
    const address = { host: "127.0.0.1", port: this.#port };
    const socket = await openNodeSocket(address, { clock: systemClock, silenceMsMax: 20_000 });
    for (const words of this.#login) await socket.call(...words);
    return socket;
  }
}
