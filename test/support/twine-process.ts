// twine-process.ts: one of Twine's long-running programs (twined, twine-router) as a process of its own.
import { spawn, type ChildProcess } from "node:child_process";
import { dirname } from "node:path";
import { binPath } from "./bins.ts";

export class TwineProcess {
  readonly child: ChildProcess;
  /** Standard output: its log, JSON lines. */
  log = "";
  errors = "";
  readonly #ended: Promise<number | null>;

  /** `bin` NODE --conf CONFFILE. Does not wait for it. `openFilesMax`: its ulimit -n, else that of this process. */
  constructor(
    bin: "twined" | "twine-router",
    node: string,
    confFile: string,
    openFilesMax?: number,
  ) {
    const program = [process.execPath, binPath(bin, "runtime"), node, "--conf", confFile];
    const limited = ["sh", "-c", `ulimit -n ${openFilesMax ?? 0}; exec "$@"`, "sh", ...program];
    const [command = "", ...args] = openFilesMax === undefined ? program : limited;
    // A monitor makes its folder rescue/ where it runs.
    const cwd = dirname(confFile);
    const child = spawn(command, args, { cwd, stdio: ["ignore", "pipe", "pipe"] });
    child.stdout.on("data", (data: Buffer) => (this.log += data.toString()));
    child.stderr.on("data", (data: Buffer) => (this.errors += data.toString()));
    this.#ended = new Promise((resolve) => {
      child.once("close", resolve);
    });
    this.child = child;
  }

  says(message: string): boolean {
    return this.log.includes(`"msg":"${message}"`);
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  /** The exit code, or null after a kill. */
  exitCode(): Promise<number | null> {
    return this.#ended;
  }

  async end(signal: NodeJS.Signals): Promise<number | null> {
    this.child.kill(signal);
    return this.#ended;
  }
}
