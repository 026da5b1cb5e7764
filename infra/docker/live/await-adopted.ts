// await-adopted.ts: waits until the monitors have adopted this twine.conf: before that, removed nodes may still be master,
// and Pulumi removes their containers as soon as the program has ended.
import { systemClock } from "../../../runtime/ports/clock.ts";
import { TwineError } from "../../../runtime/core/errors.ts";
import { registerKeys } from "../../../runtime/core/register-keys.ts";
import { runInContainer } from "../engine-call.ts";
import type { RunningContainer } from "./running-files.ts";
import { cliPreamble, loginEnv, type RedisAccess } from "./set-settings.ts";

const ASK_EVERY_MS = 200;

export interface AdoptionInput {
  readonly cluster: string;
  /** Digest of the twine.conf that has to be adopted. */
  readonly confDigest: string;
  readonly statusNodes: readonly {
    readonly container: RunningContainer;
    readonly redis: RedisAccess;
    readonly db: number;
  }[];
  readonly withinMs: number;
}

/** Throws CONF_NOT_ADOPTED. */
export async function untilAdopted(input: AdoptionInput): Promise<void> {
  const endMs = systemClock.nowMs() + input.withinMs;
  for (;;) {
    const digests = await Promise.all(input.statusNodes.map((node) => digestAt(input, node)));
    if (digests.includes(input.confDigest)) return;
    if (systemClock.nowMs() > endMs) throw notAdopted(input);
    await systemClock.delay(ASK_EVERY_MS);
  }
}

/** From the view on this status node; undefined when the node does not answer. */
async function digestAt(
  { cluster }: AdoptionInput,
  { container, redis, db }: AdoptionInput["statusNodes"][number],
): Promise<string | undefined> {
  const script = `${cliPreamble(redis)}\ncli -n "$1" GET "$2"`;
  const args = ["/bin/sh", "-c", script, "sh", String(db), registerKeys(cluster).view];
  const asked = runInContainer(container.endpoint, container.id, args, { env: loginEnv(redis) });
  const { said: view } = await asked.catch(() => ({ said: "" }));
  // Reads only this field of the JSON: a view of another version has it, too.
  return /"confDigest":"([0-9a-f]+)"/.exec(view)?.[1];
}

function notAdopted({ withinMs }: AdoptionInput): TwineError {
  return new TwineError({
    code: "CONF_NOT_ADOPTED",
    message: `the monitors have not adopted the new twine.conf within ${withinMs / 1000} s; the containers that it removes are still there`,
    remedy:
      "run twine-status, or read the log of a monitor's container for -conf: it says what they wait for; then run pulumi up again",
  });
}
