// remove-sentinels.ts: takes the old masters away from their Sentinels. Otherwise a Sentinel takes our nodes for its own
// replicas, and makes ours a replica again seconds after it took over.
import { errorText } from "../../core/error-text.ts";
import { TwineError } from "../../core/errors.ts";
import { askSentinels, type WatchedMaster } from "../import/ask-sentinels.ts";
import { addressText, type ImportedNode } from "../import/imported.ts";
import { openSource, type SourceOptions } from "../import/source-link.ts";

/** A Sentinel may know a master by another address. */
export interface KnownOld {
  readonly address: string;
  readonly runId: string;
}

/** Removes every set whose master is one of `olds`, on every Sentinel. Answers the commands that bring them back.
    `hasPassword`: the old masters have one, which a Sentinel shows nobody. */
export async function removeFromSentinels(
  given: readonly ImportedNode[],
  olds: readonly KnownOld[],
  options: SourceOptions,
  hasPassword: boolean,
): Promise<readonly string[]> {
  if (given.length === 0) return [];
  const { sentinels, masters, errors } = await askSentinels(given, options);
  if (errors.length > 0) throw new TwineError(errors);
  const ours = masters.filter(({ master, runId }) =>
    olds.some(
      (old) => old.address === addressText(master) || (runId !== "" && old.runId === runId),
    ),
  );
  const undo: string[] = [];
  for (const sentinel of sentinels) {
    const socket = await openSource(sentinel, options);
    try {
      for (const watched of ours) {
        await socket.call("SENTINEL", "REMOVE", watched.name);
        undo.push(...commandsBack(sentinel, watched, hasPassword));
      }
    } catch (cause) {
      throw new TwineError(
        {
          code: "SENTINEL_KEEPS",
          message: `the Sentinel at ${addressText(sentinel)} keeps a master: ${errorText(cause)}`,
          remedy: ["run twine-follow --switch again, or undo what was done:", ...undo].join(
            "\n    ",
          ),
        },
        { cause },
      );
    } finally {
      socket.destroy();
    }
  }
  return undo;
}

function commandsBack(
  { host, port }: ImportedNode,
  { name, master, quorum, settings }: WatchedMaster,
  hasPassword: boolean,
): string[] {
  const tool = `redis-cli -h ${host} -p ${port} SENTINEL`;
  const auth = hasPassword ? ["auth-pass", "PASSWORD"] : [];
  const words = [...settings, ...auth].join(" ");
  return [
    `${tool} MONITOR ${name} ${master.host} ${master.port} ${quorum}`,
    ...(words === "" ? [] : [`${tool} SET ${name} ${words}`]),
  ];
}
