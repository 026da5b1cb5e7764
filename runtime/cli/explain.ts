// explain.ts: turns errors of the operating system that any tool may get into a sentence with a remedy, not a stack trace.
import type { Problem } from "../core/errors.ts";

const REMEDIES: Readonly<Record<string, string>> = {
  EACCES: "run it as the user who owns that, or correct its permissions",
  EPERM: "run it as the user who owns that, or as root",
  ENOSPC: "free some space on that disk, then run the same command again",
  EDQUOT: "free some of your quota on that disk, then run the same command again",
  EROFS: "that disk is mounted read-only: remount it, or write elsewhere",
  EIO: "check that disk: dmesg shows its errors",
  EMFILE: "raise the limit on open files (ulimit -n), then run the same command again",
  ENFILE:
    "the machine's limit on open files is reached: raise fs.file-max, or end a program that holds many",
  EAGAIN: "raise the limit on processes (ulimit -u), or end some processes",
  ENOMEM: "free some memory on this machine, then run the same command again",
};

/** undefined: another kind of error, or a TwineError. */
export function explain(error: unknown): Problem | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  const remedy = REMEDIES[String(error.code)];
  return remedy === undefined ? undefined : { code: "SYSTEM", message: error.message, remedy };
}
