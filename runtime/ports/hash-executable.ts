// hash-executable.ts: gets partition numbers from a user's program, run as `cmd KEY MODULUS`.
//
//   key -> cached? -> result         a process per key is slow: the last results are cached,
//          running? -> await it      two calls with one key share one process,
//          else -> queue -> run      and only a few processes run at once
//
// A program may also support `cmd --many MODULUS`: it reads a key from each line of its input and prints a number for
// each. The fingerprint then needs a few processes instead of hundreds. A program without this treats --many as a key and
// prints one number, or fails: then each key is a call of its own.
//
// No shell is involved: no text in a key can be executed as a command. Each process leads its own process group, so that
// it can be killed together with the processes that it started.
import { isUtf8 } from "node:buffer";
import { spawn, type ChildProcess } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { TwineError } from "../core/errors.ts";
import type { Partitioner } from "./partitioner.ts";

export interface ExecutableLimits {
  readonly runningCount: number;
  readonly timeoutMs: number;
  /** The size of the cache. */
  readonly rememberedCount: number;
  /** Results of longer keys are not cached, so that the memory of the cache is limited. */
  readonly rememberedKeyChars: number;
}

export const EXECUTABLE_LIMITS: ExecutableLimits = Object.freeze({
  runningCount: 4,
  timeoutMs: 5000,
  rememberedCount: 65_536,
  rememberedKeyChars: 1024,
});

/** Longer output can't be a number or a readable error message. */
const OUTPUT_CHARS_MAX = 4096;

/** Used in place of a key: the keys follow as lines. */
const MANY = "--many";
/** One key in this many is also run alone: both forms must return the same number. */
const CHECKED_EACH = 64;

export interface HashExecutable {
  /** As written in twine.conf, for errors. */
  readonly name: string;
  readonly file: string;
  /** Its working directory. */
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

  const askMany = async (keys: readonly string[]): Promise<readonly number[] | undefined> => {
    const input = keys.map((key) => `${key}\n`).join("");
    const ended = await queue.inTurn(() => run(executable, MANY, limits.timeoutMs, running, input));
    queue.requireOpen();
    const answers = answersIn(ended, keys.length, executable.partitions);
    if (answers === undefined) return undefined;
    const sample = answers.map((_, at) => at).filter((at) => at % CHECKED_EACH === 0);
    await Promise.all(
      sample.map(async (at) => {
        const [key = "", answer = 0] = [keys[at], answers[at]];
        const alone = await ask(key);
        if (alone !== answer) throw manyError(executable, key, answer, alone);
      }),
    );
    return answers;
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
      // A Map keeps insertion order: inserting the key again makes it the newest.
      remembered.delete(key);
      remembered.set(key, known);
      return known;
    },
    partitionsOf: (keys) => {
      const isLine = (key: Uint8Array): boolean =>
        isUtf8(key) && !key.includes(0) && !key.includes(10);
      if (!keys.every(isLine)) return Promise.resolve(undefined);
      return askMany(keys.map((key) => Buffer.from(key).toString("utf8")));
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
   * Runs the task as soon as fewer tasks than the limit run. Rejects with the closing error if the queue was closed
   * before.
   */
  inTurn<T>(task: () => Promise<T>): Promise<T>;
  requireOpen(): void;
  /** Rejects queued tasks; running ones continue. */
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
      // A task that ends passes its slot on to the next one, so that no new task can take it in between.
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
      // Queued tasks get their slots one after the other, and find the queue closed.
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
  /** Set if it could not be started. */
  readonly cause?: Error;
}

/** Runs `file KEY MODULUS` until it exits or times out, with `input` as its standard input. Never rejects. */
function run(
  executable: HashExecutable,
  key: string,
  timeoutMs: number,
  running: Set<ChildProcess>,
  input?: string,
): Promise<Ended> {
  return new Promise((resolve) => {
    const started = start(executable, key, input);
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

/** The process, or the error: spawn throws for some reasons (for example a key longer than the system's limit). */
function start(
  executable: HashExecutable,
  key: string,
  input: string | undefined,
): ChildProcess | Error {
  try {
    const child = spawn(executable.file, [key, String(executable.partitions)], {
      cwd: executable.folder,
      stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
      detached: true,
    });
    // A program that does not read its input closes the pipe.
    child.stdin?.on("error", () => undefined).end(input);
    return child;
  } catch (cause) {
    return cause instanceof Error ? cause : new Error(String(cause));
  }
}

const NOTHING_SAID = Object.freeze({ output: "", complaint: "" });

/** Collects the output of the process. */
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
 * Kills a process and the processes that it started. Also closes its pipes, in case another process still holds the other
 * end.
 */
function endGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  } catch {
    // The process group has already ended.
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

/** The numbers that a program printed for `count` keys; undefined if it does not support --many. */
function answersIn(ended: Ended, count: number, partitions: number): number[] | undefined {
  if (ended.cause !== undefined || ended.isLate || ended.code !== 0) return undefined;
  const lines = ended.output.trimEnd().split("\n");
  const areAnswers =
    lines.length === count &&
    lines.every((line) => /^\d{1,15}$/.test(line) && Number(line) < partitions);
  return areAnswers ? lines.map(Number) : undefined;
}

function manyError(
  { name, partitions }: HashExecutable,
  key: string,
  answer: number,
  alone: number,
): TwineError {
  const shown = shortened(key);
  return new TwineError({
    code: "HASH_ANSWER_BAD",
    message: `hash ${name} printed ${answer} for the key '${shown}' under ${MANY}, and ${alone} when it was asked for that key alone`,
    remedy: `let \`${name} ${MANY} ${partitions}\` print for each line of its input what \`${name} LINE ${partitions}\` prints`,
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

export function shortened(text: string): string {
  return text.length <= 200 ? text : `${text.slice(0, 200)}...`;
}
