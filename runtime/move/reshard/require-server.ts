// require-server.ts: the redis-server that compares values is needed long after the start: it is looked for before.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { errorText } from "../../core/error-text.ts";
import { TwineError } from "../../core/errors.ts";

const WITHIN_MS = 10_000;

/** `program`: absent: redis-server of PATH. Throws RESHARD_NO_SERVER when it can't be run. */
export async function requireServer(program = "redis-server"): Promise<void> {
  try {
    await promisify(execFile)(program, ["--version"], { timeout: WITHIN_MS });
  } catch (cause) {
    throw new TwineError(
      {
        code: "RESHARD_NO_SERVER",
        message: `${program}, which compares values before the switch, can't be run on this host: ${errorText(cause)}`,
        remedy:
          "install redis-server or valkey-server here, or name it with --server; --no-verify switches without a comparison",
      },
      { cause },
    );
  }
}
