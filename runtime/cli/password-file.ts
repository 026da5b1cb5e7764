// password-file.ts: the cluster's password, from the file that TWINE_PASSWORD_FILE names.
//
//   NEW            one line: the password
//   NEW            two lines, while it is being rotated (twine-password): the first is used,
//   OLD            the second still counts
//
// A process checks the file again whenever it uses the password, at most four times a second, so a rotation needs no
// restart and no signal. If the file is then missing or wrong, the passwords read before stay valid.
import { statSync } from "node:fs";
import type { Passwords } from "../core/credentials.ts";
import { TwineError } from "../core/errors.ts";
import { systemClock } from "../ports/clock.ts";
import { readSecret } from "./secret-file.ts";

/** After a change of the file, every process of this machine uses it within this time. */
export const PASSWORD_AGE_MS = 250;

/** undefined without TWINE_PASSWORD_FILE. Throws PASSWORD_UNREADABLE, PASSWORD_OPEN and PASSWORD_BAD. */
export function readPassword(env = process.env): Passwords | undefined {
  const first = readPasswords(env);
  return first === undefined ? undefined : new PasswordFile(env, first);
}

/** The current content of the file, the password to use first; undefined without TWINE_PASSWORD_FILE. Throws like
    readPassword. */
export function readPasswords(env = process.env): readonly string[] | undefined {
  const name = "TWINE_PASSWORD_FILE";
  const lines = linesOf(name, env);
  if (lines === undefined || lines.length <= 2) return lines;
  throw bad(`the file ${env[name] ?? ""} named by ${name} holds more than two passwords`);
}

/** The one password in `file`, the value of --new-file. Throws like readPassword. */
export function readNewPassword(file: string): string {
  const name = "--new-file";
  const [password, ...more] = linesOf(name, { [name]: file }) ?? [];
  if (password !== undefined && more.length === 0) return password;
  throw bad(`the file ${file} named by ${name} holds not one password`);
}

function linesOf(
  name: "TWINE_PASSWORD_FILE" | "--new-file",
  env: NodeJS.ProcessEnv,
): readonly string[] | undefined {
  const text = readSecret(name, "PASSWORD", env);
  if (text === undefined) return undefined;
  const lines = text.trim().split(/\s*\n\s*/);
  if (!lines.some((line) => line === "" || /\s/.test(line))) return [...new Set(lines)];
  throw bad(
    `the file ${env[name] ?? ""} named by ${name} holds no password, or one with white space in it`,
  );
}

function bad(message: string): TwineError {
  return new TwineError({
    code: "PASSWORD_BAD",
    message,
    remedy: "write one word on one line",
  });
}

class PasswordFile implements Passwords {
  readonly #env: NodeJS.ProcessEnv;
  #passwords: readonly string[];
  #lookedAtMs = systemClock.nowMs();
  #seen: string;

  constructor(env: NodeJS.ProcessEnv, passwords: readonly string[]) {
    this.#env = { TWINE_PASSWORD_FILE: env["TWINE_PASSWORD_FILE"] };
    this.#passwords = passwords;
    this.#seen = this.#stamp();
  }

  list(): readonly string[] {
    const nowMs = systemClock.nowMs();
    if (nowMs - this.#lookedAtMs < PASSWORD_AGE_MS) return this.#passwords;
    this.#lookedAtMs = nowMs;
    const stamp = this.#stamp();
    if (stamp === this.#seen) return this.#passwords;
    try {
      this.#passwords = readPasswords(this.#env) ?? this.#passwords;
      this.#seen = stamp;
    } catch (error) {
      // Tried again at the next use.
      if (!(error instanceof TwineError)) throw error;
    }
    return this.#passwords;
  }

  /** Differs after each change: the file is replaced by a new one. */
  #stamp(): string {
    try {
      const file = this.#env["TWINE_PASSWORD_FILE"] ?? "";
      const { dev, ino, mtimeNs, size } = statSync(file, { bigint: true });
      return `${dev}:${ino}:${mtimeNs}:${size}`;
    } catch {
      return "";
    }
  }

  /** It contains secrets, so none of its content is printed. */
  toJSON(): string {
    return "(passwords)";
  }
}
