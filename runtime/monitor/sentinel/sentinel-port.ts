// sentinel-port.ts: the second port of a monitor line, which serves the view of the status nodes.
// It follows the view with its own links, as a router does, and does not use the view of the monitor's loop. So it gets a
// change at once, whichever monitor leads, and knows whether a majority of the status nodes confirms its view.
import { nodesOf, type ClusterConfig } from "../../core/cluster.ts";
import type { Secret } from "../../core/credentials.ts";
import { builtinHashing, type Hashing } from "../../core/hashing.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Log } from "../../ports/log.ts";
import type { OpenLink } from "../../ports/redis-link.ts";
import { followView } from "../../register/follow.ts";
import { guardedView } from "../../register/guarded-view.ts";
import type { Emit } from "../emit.ts";
import { startSentinel } from "./server.ts";

export interface SentinelPortOptions {
  /** The monitor's name in `config`. */
  readonly name: string;
  /** The present configuration. */
  readonly config: () => ClusterConfig;
  /** The hashing that `config` names; absent: a built-in one. */
  readonly hashing?: Hashing;
  readonly password: Secret | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly openLink: OpenLink;
  readonly emit: Emit;
  readonly addresses: readonly string[];
  /** Reads data node -> JSON of LastSeen from the status nodes. */
  readonly readOffsets: () => Promise<ReadonlyMap<string, string>>;
  /** This process's limit of open files, if known. */
  readonly filesMax?: number | undefined;
}

export interface SentinelPort {
  close(): Promise<void>;
}

/** Opens no port if the monitor's line has none. Throws TwineError PORT_TAKEN or PORT_REFUSED. */
export async function openSentinelPort(options: SentinelPortOptions): Promise<SentinelPort> {
  const { name, emit } = options;
  const config = options.config();
  const node = nodesOf(config, "monitor").find((monitor) => monitor.name === name);
  const port = node?.sentinelPort;
  if (port === undefined) return { close: () => Promise.resolve() };
  const log: Log = {
    ...options.log,
    error: (why, fields) => {
      emit("-task", { task: "Sentinel's view", why, ...fields });
    },
  };
  // Another cluster's masters are never shown.
  const viewSource = guardedView(
    followView({ ...options, config, user: "monitor", log }),
    config,
    options.hashing ?? builtinHashing(config.settings),
  );
  try {
    const server = await startSentinel({ ...options, viewSource, port });
    emit("+sentinel-port", { port });
    return {
      close: async () => {
        await server.close();
        await viewSource.close();
      },
    };
  } catch (error) {
    await viewSource.close();
    throw error;
  }
}
