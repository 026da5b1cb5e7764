// program-connection.ts: a program's input and output as one connection, e.g. `ssh HOST docker system dial-stdio`.
//
//   written -> stdin of the program       stdout of the program -> read, to its end       it failed -> the connection's error
//
// Why not Duplex.from: Node destroys a child's stdin when the child ends, which Duplex.from takes for a failure of the whole
// stream ("Premature close"). On a busy machine Node hears of a child's end before it has read what the child wrote: it
// reaps all ended children when one has ended. Then a complete answer was lost, or the program's own error message.
import { spawn, type ChildProcessByStdio } from "node:child_process";
import { Duplex, type Readable, type Writable } from "node:stream";
import { systemClock } from "../../runtime/ports/clock.ts";

const STDERR_CHARS_MAX = 4096;
const STDERR_WITHIN_MS = 2000;

/** How a program failed. */
export interface ProgramFailure {
  /** An exit code, or the name of a signal. */
  readonly endedWith: number | string;
  /** The end of its error output. */
  readonly said: string;
}

/** Starts `program`; `describe` gives the message of the connection's error when it fails. */
export function connectThrough(
  program: string,
  args: readonly string[],
  describe: (failure: ProgramFailure) => string,
): Duplex {
  return new ProgramConnection(program, args, describe);
}

class ProgramConnection extends Duplex {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #describe: (failure: ProgramFailure) => string;
  #said = "";

  constructor(
    program: string,
    args: readonly string[],
    describe: (failure: ProgramFailure) => string,
  ) {
    super();
    this.#describe = describe;
    this.#child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
    const { stdin, stdout, stderr } = this.#child;
    // A broken pipe: the program has ended or will end, and its end says why.
    stdin.on("error", () => {});
    stdout.on("data", (chunk: Buffer) => {
      if (!this.push(chunk)) stdout.pause();
    });
    stderr.setEncoding("utf8").on("data", (chunk: string) => {
      this.#said = (this.#said + chunk).slice(-STDERR_CHARS_MAX);
    });
    this.#child.once("error", (error) => this.destroy(error));
    const isRead = new Promise((resolve) => stdout.once("close", resolve));
    const isAllRead = new Promise((resolve) => this.#child.once("close", resolve));
    this.#child.once("exit", (code, signal) => {
      const endedWith = code ?? signal ?? 0;
      // What a program has left behind may hold its error output open: ssh leaves a shared connection behind.
      const isOver =
        endedWith === 0 ? isRead : Promise.race([isAllRead, systemClock.delay(STDERR_WITHIN_MS)]);
      void isOver.then(() => {
        this.#end(endedWith);
      });
    });
  }

  override _read(): void {
    this.#child.stdout.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#child.stdin.write(chunk, () => {
      done();
    });
  }

  override _final(done: () => void): void {
    this.#child.stdin.end(() => {
      done();
    });
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#child.kill();
    // Nobody reads any more, and "close" comes only after the last byte.
    this.#child.stdout.resume();
    done(error);
  }

  #end(endedWith: number | string): void {
    if (this.destroyed) return;
    if (endedWith === 0) this.push(null);
    else this.destroy(new Error(this.#describe({ endedWith, said: this.#said.trim() })));
  }
}
