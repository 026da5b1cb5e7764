// process-log.ts: the log of Twine's processes: pino, JSON lines.
import { hostname } from "node:os";
import { pino } from "pino";
import { logFile } from "./log-file.ts";
import type { Log } from "./log.ts";

/** The log of a long-running program. */
export interface ProcessLog extends Log {
  /** Lines that could not be written, for example on a full disk. */
  droppedCount(): number;
  /** Reopens the log's file, after logrotate has renamed it. */
  reopen(): void;
}

const STANDARD_OUTPUT = 1;

/** Logs to standard output as JSON lines; `name` is the node's name. Writing never throws and never waits. */
export function pinoLog(name: string, level = "info"): ProcessLog {
  const file = logFile(STANDARD_OUTPUT, (count) => {
    const fields = { level: 40, time: Date.now(), pid: process.pid, hostname: hostname(), name };
    return `${JSON.stringify({ ...fields, count, msg: "log lines dropped" })}\n`;
  });
  // A destination of our own, because pino's retries for ever on a full disk, even at exit.
  const logger = pino({ name, level, redact: ["password", "*.password"] }, file);
  return {
    droppedCount: () => file.droppedCount(),
    reopen: () => {
      file.reopen();
    },
    debug: (message, fields = {}) => {
      logger.debug(fields, message);
    },
    info: (message, fields = {}) => {
      logger.info(fields, message);
    },
    warn: (message, fields = {}) => {
      logger.warn(fields, message);
    },
    error: (message, fields = {}) => {
      logger.error(fields, message);
    },
  };
}
