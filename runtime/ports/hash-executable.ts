// hash-executable.ts: partition numbers from a program of the user's own, run as `cmd KEY MODULUS`.
//
//   key -> known? -> answer          a process per key is slow: the last answers are remembered,
//          asked already? -> wait    two callers with one key share one process,
//          else -> queue -> run      and only a few processes run at once
//
// No shell is involved: a key can hold any text without being understood as a command. Each
// process leads a group of its own, so that one which hangs is ended together with whatever it
// started itself.
import { isUtf8 } from "node:buffer";
import { spawn, type ChildProcess } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { TwineError } from "../core/errors.ts";
import type { Partitioner } from "./partitioner.ts";

export interface ExecutableLimits {
  readonly runningCount: number;
  readonly timeoutMs: number;
  /** How many answers are remembered. */
  readonly rememberedCount: number;
  /** Longer keys are asked for each time, so that the memory they take has a bound too. */
  readonly rememberedKeyChars: number;
}

export const EXECUTABLE_LIMITS: ExecutableLimits = Object.freeze({
  runningCount: 4,
  timeoutMs: 5000,
  rememberedCount: 65_536,
  rememberedKeyChars: 1024,
});

/** More output than this belongs to no number and to no readable complaint. */
const OUTPUT_CHARS_MAX = 4096;

export interface HashExecutable {
  /** As written in twine.conf, for errors. */
  readonly name: string;
  readonly file: string;
  /** Where it runs. */
  readonly folder: string;
  readonly partitions: number;
}

/** Throws HASH_NOT_EXECUTABLE. */
export function openHashExecutable(
  executable: HashExecutable,
  limits: ExecutableLimits = EXECUTABLE_LIMITS,
): Partitioner {
  requireExecutable(executable);
  const remembered = new Map<string, number>();
  const asked = new Map<string, Promise<number>>();
  const running = new Set<ChildProcess>();
  const queue = openQueue(limits.runningCount, () => closedError(executable));

  const answerOf = async (key: string): Promise<number> => {
    const ended = await run(executable, key, limits.timeoutMs, running);
    queue.requireOpen();
    const partition = partitionFrom(ended, executable, key, limits.timeoutMs);
    if (key.length <= limits.rememberedKeyChars) {
      remembered.set(key, partition);
      forgetOldest(remembered, limits.rememberedCount);
    }
    return partition;
  };

  const ask = (key: string): Promise<number> => {
    const answer = queue.inTurn(() => answerOf(key)).finally(() => asked.delete(key));
    asked.set(key, answer);
    return answer;
  };

  return {
    partitionOf: (bytes) => {
      if (!isUtf8(bytes) || bytes.includes(0)) return Promise.reject(keyError(executable, bytes));
      const key = Buffer.from(bytes).toString("utf8");
      const known = remembered.get(key);
      if (known === undefined) return asked.get(key) ?? ask(key);
      // A Map lists its keys by age: putting the key back makes it the youngest.
      remembered.delete(key);
      remembered.set(key, known);
      return known;
    },
    close: async () => {
      queue.close();
      for (const child of running) endGroup(child);
      await Promise.allSettled(asked.values());
    },
  };
}

function forgetOldest(remembered: Map<string, number>, count: number): void {
  if (remembered.size <= count) return;
  const [oldest] = remembered.keys();
  if (oldest !== undefined) remembered.delete(oldest);
}

interface Queue {
  /**
   * Runs the task when fewer than the limit run; rejects with the closing error when closed
   * before.
   */
  inTurn<T>(task: () => Promise<T>): Promise<T>;
  requireOpen(): void;
  /** Fails what waits; what runs goes on. */
  close(): void;
}

function openQueue(runningCountMax: number, closing: () => Error): Queue {
  const waiting: (() => void)[] = [];
  let runningCount = 0;
  let isClosed = false;
  const requireOpen = (): void => {
    if (isClosed) throw closing();
  };
  return {
    requireOpen,
    inTurn: async (task) => {
      // The place is taken by whoever gives it up for the next one, so that nobody can slip in
      // between.
      if (runningCount < runningCountMax) runningCount += 1;
      else await new Promise<void>((resolve) => waiting.push(resolve));
      try {
        requireOpen();
        return await task();
      } finally {
        const next = waiting.shift();
        if (next === undefined) runningCount -= 1;
        else next();
      }
    },
    close: () => {
      // Those that wait get their turn, one after the other, and find the queue closed.
      isClosed = true;
    },
  };
}

interface Ended {
  readonly output: string;
  readonly complaint: string;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly isLate: boolean;
  /** It could not be started at all. */
  readonly cause?: Error;
}

/** Runs `file KEY MODULUS` to its end, or to the end of its time; never rejects. */
function run(
  executable: HashExecutable,
  key: string,
  timeoutMs: number,
  running: Set<ChildProcess>,
): Promise<Ended> {
  return new Promise((resolve) => {
    const started = start(executable, key);
    if (started instanceof Error) {
      resolve({ ...NOTHING_SAID, code: null, signal: null, isLate: false, cause: started });
      return;
    }
    running.add(started);
    const said = listen(started);
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      endGroup(started);
    }, timeoutMs);
    const end = (rest: Pick<Ended, "code" | "signal" | "cause">): void => {
      clearTimeout(timer);
      running.delete(started);
      resolve({ ...said, isLate, ...rest });
    };
    started.once("error", (cause) => {
      end({ code: null, signal: null, cause });
    });
    started.once("close", (code, signal) => {
      end({ code, signal });
    });
  });
}

/**
 * The process, or why there is none: spawn throws for some reasons (a key beyond the system's
 * limit, say).
 */
function start(executable: HashExecutable, key: string): ChildProcess | Error {
  try {
    return spawn(executable.file, [key, String(executable.partitions)], {
      cwd: executable.folder,
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
  } catch (cause) {
    return cause instanceof Error ? cause : new Error(String(cause));
  }
}

const NOTHING_SAID = Object.freeze({ output: "", complaint: "" });

/** What the process writes, as it grows. */
function listen(child: ChildProcess): { readonly output: string; readonly complaint: string } {
  const said = { ...NOTHING_SAID };
  child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
    if (said.output.length < OUTPUT_CHARS_MAX) said.output += chunk;
  });
  child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
    if (said.complaint.length < OUTPUT_CHARS_MAX) said.complaint += chunk;
  });
  return said;
}

/**
 * Ends a process and what it started; its pipes are let go, should something still hold their
 * other end.
 */
function endGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  } catch {
    // Nobody of the group is left: what was wanted is so already.
  }
  child.stdout?.destroy();
  child.stderr?.destroy();
}

function partitionFrom(
  ended: Ended,
  executable: HashExecutable,
  key: string,
  timeoutMs: number,
): number {
  const { name, partitions } = executable;
  if (ended.cause !== undefined || ended.isLate || ended.code !== 0) {
    throw failedError(ended, executable, key, timeoutMs);
  }
  const answer = ended.output.trim();
  if (/^\d{1,15}$/.test(answer) && Number(answer) < partitions) return Number(answer);
  throw new TwineError({
    code: "HASH_ANSWER_BAD",
    message:
      `hash ${name} printed '${shortened(answer)}' for the key '${shortened(key)}', ` +
      `and there are ${partitions} partitions`,
    remedy: `let it print a whole number from 0 to ${partitions - 1} and nothing else`,
  });
}

function failedError(
  ended: Ended,
  executable: HashExecutable,
  key: string,
  timeoutMs: number,
): TwineError {
  const how =
    ended.cause !== undefined
      ? `can't be started: ${ended.cause.message}`
      : ended.isLate
        ? `had not ended after ${timeoutMs} ms`
        : ended.code === null
          ? `was ended by ${ended.signal ?? "a signal"}`
          : `ended with exit code ${ended.code}`;
  const complaint = ended.complaint.trim();
  const command = `${executable.name} '${shortened(key)}' ${executable.partitions}`;
  return new TwineError(
    {
      code: "HASH_FAILED",
      message: `hash: ${command} ${how}${complaint === "" ? "" : `: ${shortened(complaint)}`}`,
      remedy: `run it by hand in ${executable.folder}; it must print the number and exit 0`,
    },
    ended.cause === undefined ? {} : { cause: ended.cause },
  );
}

function requireExecutable({ name, file }: HashExecutable): void {
  try {
    accessSync(file, constants.X_OK);
  } catch (cause) {
    throw new TwineError(
      {
        code: "HASH_NOT_EXECUTABLE",
        message: `hash ${name}: ${file} may not be executed`,
        remedy: `chmod +x ${file}, or give it the ending .mjs if it is a module`,
      },
      { cause },
    );
  }
}

function keyError({ name }: HashExecutable, key: Uint8Array): TwineError {
  const shown = shortened(Buffer.from(key).toString("latin1"));
  return new TwineError({
    code: "HASH_KEY_BAD",
    message: `the key ${JSON.stringify(shown)} is no text, as an argument of ${name} must be`,
    remedy: "use keys that are UTF-8 without a zero byte, or a module, which gets the bytes",
  });
}

function closedError({ name }: HashExecutable): TwineError {
  return new TwineError({
    code: "HASH_CLOSED",
    message: `hash ${name} was closed before it answered`,
    remedy: "ask again after the restart",
  });
}

function shortened(text: string): string {
  return text.length <= 200 ? text : `${text.slice(0, 200)}...`;
}
