// nutcracker.ts: twemproxy as a child process, and its change to another configuration.
//
//   change: test the new text -> stop -> rename it into place -> start -> it listens
//                                                              \-> it does not: the old text again, start, and say so
//
// nutcracker reads its file at its start alone, so that each change of a master is a restart: for a few milliseconds nobody
// listens, and clients connect again.
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { errorText } from "../core/error-text.ts";
import { TwineError } from "../core/errors.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import { POOL_FILE_BYTES_MAX, type ServerAddress } from "./pool-file.ts";
import { readIfThere, replaceFile } from "./live-file.ts";

export interface NutcrackerOptions {
  /** The program with what comes before its own arguments: setpriv --pdeathsig TERM -- nutcracker. */
  readonly program: readonly string[];
  /** Its nutcracker.yml. */
  readonly file: string;
  readonly listen: ServerAddress;
  readonly stats: ServerAddress;
  readonly clock: Clock;
  readonly log: Log;
  /** It ended though nobody stopped it. */
  readonly onEnd: () => void;
}

const UP_WITHIN_MS = 5_000;
const END_WITHIN_MS = 2_000;
const LOOK_EVERY_MS = 10;
const LAST_WORDS_CHARS = 600;

export class Nutcracker {
  readonly #options: NutcrackerOptions;
  #child: ChildProcess | undefined;

  constructor(options: NutcrackerOptions) {
    this.#options = options;
  }

  get isRunning(): boolean {
    return this.#child !== undefined;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get logFile(): string {
    return join(dirname(this.#options.file), "nutcracker.log");
  }

  /** Returns when it listens. Throws NUTCRACKER_FAILED with its last words; it does not run then. */
  async start(): Promise<void> {
    const { file, stats, log } = this.#options;
    const [command = "", ...before] = this.#options.program;
    const args = [
      ...before,
      ...["-c", file, "-o", this.logFile, "-p", join(dirname(file), "nutcracker.pid")],
      ...["-a", stats.host, "-s", String(stats.port)],
    ];
    const child = spawn(command, args, { stdio: ["ignore", "inherit", "pipe"] });
    let words = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      words = (words + text).slice(-LAST_WORDS_CHARS);
    });
    const ended = new Promise<string>((resolve) => {
      child.once("error", (error) => {
        resolve(errorText(error));
      });
      child.once("close", (code, signal) => {
        resolve(`it ended with ${signal ?? `exit code ${code ?? "unknown"}`}`);
      });
    });
    const why = await this.#untilUp(ended);
    if (why !== undefined) {
      child.kill("SIGKILL");
      throw failed(why, [words.trim(), await this.#lastLine()].join("\n  ").trim());
    }
    this.#child = child;
    log.info("twemproxy started", { pid: child.pid });
    void ended.then((how) => {
      if (this.#child !== child) return;
      this.#child = undefined;
      log.warn("twemproxy ended", { how });
      this.#options.onEnd();
    });
  }

  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    const closed = once(child, "close");
    child.kill("SIGTERM");
    const cancel = this.#options.clock.after(END_WITHIN_MS, () => child.kill("SIGKILL"));
    await closed;
    cancel();
  }

  /**
   * Restarts it with `text`. Throws NUTCRACKER_REFUSED for a text that nutcracker does not take, and it was not touched;
   * NUTCRACKER_FAILED when it does not come back, and the old text is in place again.
   */
  async change(text: string): Promise<void> {
    const { file, log } = this.#options;
    const before = await readIfThere(file, POOL_FILE_BYTES_MAX);
    await this.#test(text);
    await this.stop();
    try {
      await replaceFile(file, text);
      await this.start();
    } catch (error) {
      log.error(
        "twemproxy did not come back with the new configuration; the old one is used again",
        {
          why: errorText(error),
        },
      );
      if (before !== undefined) await replaceFile(file, before).catch(() => undefined);
      await this.start();
      throw error;
    }
  }

  /** nutcracker's own opinion of a text, before anything is stopped for it. */
  async #test(text: string): Promise<void> {
    const candidate = `${this.#options.file}.new`;
    const [command = "", ...before] = this.#options.program;
    try {
      // It may hold the password.
      await replaceFile(candidate, text, this.#options.file);
      const args = [...before, "--test-conf", "-c", candidate, "-o", this.logFile];
      await new Promise<void>((resolve, reject) => {
        execFile(command, args, { timeout: UP_WITHIN_MS }, (error, _out, stderr) => {
          if (error === null) resolve();
          else reject(refused(candidate, stderr.trim().split("\n")[0] ?? error.message));
        });
      });
    } finally {
      await rm(candidate, { force: true }).catch(() => undefined);
    }
  }

  /** undefined: it listens. */
  async #untilUp(ended: Promise<string>): Promise<string | undefined> {
    const { clock, listen } = this.#options;
    const endMs = clock.nowMs() + UP_WITHIN_MS;
    let why: string | undefined;
    void ended.then((how) => {
      why = how;
    });
    while (clock.nowMs() < endMs) {
      const isUp = await accepts(listen);
      // Somebody else may listen there, while ours found the port taken and ended.
      await clock.delay(LOOK_EVERY_MS);
      if (why !== undefined) return why;
      if (isUp) return undefined;
    }
    return `it does not listen on port ${listen.port} after ${UP_WITHIN_MS / 1000} s`;
  }

  async #lastLine(): Promise<string> {
    const text = await readIfThere(this.logFile, 64 * 1024 ** 2).catch(() => "");
    return (text ?? "").trimEnd().split("\n").slice(-2).join("\n  ");
  }
}

function accepts({ host, port }: ServerAddress): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (isUp: boolean) => (): void => {
      socket.destroy();
      resolve(isUp);
    };
    socket.once("connect", end(true)).once("error", end(false));
  });
}

function failed(why: string, words: string): TwineError {
  return new TwineError({
    code: "NUTCRACKER_FAILED",
    message: `nutcracker does not run: ${why}${words === "" ? "" : `; it said:\n  ${words}`}`,
    remedy: "see nutcracker.log beside nutcracker.yml: often another process has the port",
  });
}

function refused(path: string, words: string): TwineError {
  return new TwineError({
    code: "NUTCRACKER_REFUSED",
    message: `nutcracker does not take the new configuration, and runs on with the old one: ${words}`,
    remedy: `correct the settings in ${path.replace(/\.new$/, "")}, or twine-setup --overwrite writes them anew`,
  });
}
