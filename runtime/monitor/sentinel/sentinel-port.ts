// sentinel-port.ts: the second port of a monitor line, opened on the status nodes' view.
// It follows the view as a router does, with links of its own, rather than what the monitor's loop has read: so it hears
// of a change at once, whoever leads, and knows whether a majority of the status nodes confirms what it says.
import { nodesOf, type ClusterConfig } from "../../core/cluster.ts";
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
  /** As it stands now. */
  readonly config: () => ClusterConfig;
  readonly password: string | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly openLink: OpenLink;
  readonly emit: Emit;
  readonly addresses: readonly string[];
  /** Data node -> JSON of LastSeen, as the status nodes keep it. */
  readonly readOffsets: () => Promise<ReadonlyMap<string, string>>;
}

export interface SentinelPort {
  close(): Promise<void>;
}

/** Opens nothing for a monitor line without a second port. Throws TwineError PORT_TAKEN or PORT_REFUSED. */
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
  // Another cluster's masters are shown to nobody.
  const viewSource = guardedView(followView({ ...options, config, user: "monitor", log }), config);
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
