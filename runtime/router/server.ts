// server.ts: the hash router: listens, and gives every client the whole cluster as one Redis.
//
//   clients -> client-connection -> hot-route: bytes are copied on      -> lane per partition and protocol -> its master
//                                -> dispatch: everything else, by route/ ->
//
// The view source and the partitioner belong to the caller, who closes them after the router.
import { createServer, type ListenOptions, type Server, type Socket } from "node:net";
import type { ClusterConfig } from "../core/cluster.ts";
import { EXIT, TwineError } from "../core/errors.ts";
import type { View } from "../core/view.ts";
import type { Clock } from "../ports/clock.ts";
import type { Partitioner } from "../ports/partitioner.ts";
import type { Log } from "../ports/log.ts";
import { systemRandom, type Random } from "../ports/random.ts";
import type { ViewSource } from "../register/view-source.ts";
import { ClientConnection, type ClientContext } from "./clients/client-connection.ts";
import { openCommandSource } from "./dispatch/command-source.ts";
import { drainClients } from "./clients/drain.ts";
import { FrontDoor } from "./clients/front-door.ts";
import { watchIdle } from "./clients/idle-watch.ts";
import { guardedView } from "../register/guarded-view.ts";
import { hotRoute } from "./dispatch/hot-route.ts";
import { laneContext } from "./lanes/lane-context.ts";
import { Lanes } from "./lanes/lanes.ts";
import type { RouterRules } from "./rules/limits.ts";
import { OwnConnectionPool } from "./own-connections/pool.ts";
import { loadRules, needsRestart } from "./rules/reload.ts";
import { snapshotOf, type StatsFacts } from "./stats-collect.ts";
import type { RouterSnapshot } from "./stats/snapshot.ts";

export type ListenAddress =
  { readonly host: string; readonly port: number } | { readonly path: string };

export interface RouterOptions {
  readonly config: ClusterConfig;
  readonly viewSource: ViewSource;
  readonly partitioner: Partitioner;
  /** Asked of every client, and used towards the nodes; undefined: no authentication. */
  readonly password: string | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly listen: ListenAddress | readonly ListenAddress[];
  /** Its own in twine.conf. */
  readonly name?: string;
  readonly random?: Random;
  /** Other processes of this router listen on the same addresses. */
  readonly isPortShared?: boolean;
  /** CLIENT ID counts from the next number on. */
  readonly clientIdsFrom?: number;
}

export interface Router {
  /**
   * Takes a changed twine.conf and the files that it names, without touching a connection, except those of users who
   * are no more. Gives what has to wait for a restart. Throws TwineError with everything that is wrong; nothing of the
   * changed file counts then.
   */
  reload(config: ClusterConfig): Promise<readonly string[]>;
  /** What this process has counted, and what waits in it. */
  snapshot(): RouterSnapshot;
  /** Takes no new clients, answers what was sent, ends every connection; within drain-for. */
  close(): Promise<void>;
}

/**
 * Resolves when every address is listened on. Throws TwineError ROUTER_PORT_TAKEN, ROUTER_CANNOT_LISTEN, or what is
 * wrong with the users or the certificates that twine.conf names.
 */
export async function startRouter(options: RouterOptions): Promise<Router> {
  const { config, clock, log } = options;
  const rules = await loadRules(config, options.password);
  const insides = openInsides(options, rules);
  const clients = new Set<ClientConnection>();
  const context = { ...insides.context, clients };
  let lastId = options.clientIdsFrom ?? 0;
  let nobodyLeft: (() => void) | undefined;
  const welcome = (socket: Socket): void => {
    const client = new ClientConnection(socket, ++lastId, context);
    clients.add(client);
    context.stats.clientsAccepted++;
    socket.on("close", () => {
      clients.delete(client);
      if (clients.size === 0) nobodyLeft?.();
    });
  };
  const door = new FrontDoor({ rules, clock, log, clients, welcome });
  const idleWatch = watchIdle(clients, rules, clock);
  const stop = (): void => {
    idleWatch.end();
    insides.close();
  };
  const servers: Server[] = [];
  try {
    for (const address of addressesOf(options.listen)) {
      const isShared = options.isPortShared ?? false;
      const server = await listen(address, isShared, (socket) => {
        door.enter(socket);
      });
      servers.push(server);
    }
  } catch (error) {
    for (const server of servers) server.close();
    stop();
    throw error;
  }
  return {
    reload: async (changed) => {
      const fresh = await loadRules(changed, options.password);
      // Connections to nodes are made all the time: a half of them in TLS would help nobody.
      const tls = { server: fresh.tls.server, nodes: rules.tls.nodes && fresh.tls.nodes };
      Object.assign(rules, fresh, { tls });
      insides.lanes.readFrom = changed.settings.readFrom;
      door.rulesChanged();
      idleWatch.again();
      for (const client of [...clients]) client.rulesChanged();
      return needsRestart(config, changed, options.name);
    },
    snapshot: () => snapshotOf({ ...insides.facts(), clientCount: clients.size }),
    close: async () => {
      const closing = servers.map((server) => new Promise((resolve) => server.close(resolve)));
      if (clients.size > 0) {
        // The servers know only of those who are not in yet.
        closing.push(new Promise<void>((resolve) => (nobodyLeft = resolve)));
      }
      door.close();
      await drainClients(clients, Promise.all(closing), rules.limits.drainMs, clock);
      stop();
    },
  };
}

interface Insides {
  readonly context: ClientContext;
  readonly lanes: Lanes;
  facts(): Omit<StatsFacts, "clientCount">;
  close(): void;
}

/** All behind the clients: the lanes, the connections that one client uses at a time, the table of commands. */
function openInsides(options: RouterOptions, rules: RouterRules): Insides {
  const { config, clock, log } = options;
  const viewSource = guardedView(options.viewSource, config);
  const shared = laneContext({ ...options, viewSource, rules });
  const random = options.random ?? systemRandom;
  const view = (): View | undefined => viewSource.current();
  const lanes = new Lanes({ context: shared, random, view });
  lanes.readFrom = config.settings.readFrom;
  const own = new OwnConnectionPool(shared, config.settings.partitions, view);
  const commands = openCommandSource({ ...options, rules });
  const { stats } = shared;
  stats.viewChanged(view(), clock.wallTime());
  let told: string | undefined;
  const endWatch = viewSource.onChange(() => {
    const clash = viewSource.clash();
    if (clash !== undefined && clash !== told) log.error(`nothing is routed: ${clash}`);
    told = clash;
    stats.viewChanged(view(), clock.wallTime());
    lanes.viewChanged();
    own.viewChanged();
  });
  return {
    lanes,
    context: {
      ...{ partitions: config.settings.partitions, hashTag: config.settings.hashTag },
      ...{ viewSource, commands, random, rules, clock, log, lanes, own },
      partitioner: options.partitioner,
      turn: shared.turn,
      stats,
      hotRoute: hotRoute({ config, commands, viewSource, lanes, stats }),
    },
    facts: () => ({
      ...{ stats, queues: lanes.queues(), view: view(), heldBytes: shared.heldBytes },
      isConfirmed: viewSource.isConfirmed(),
    }),
    close: () => {
      endWatch();
      commands.close();
      lanes.close();
      own.close();
    },
  };
}

function addressesOf(listen: RouterOptions["listen"]): readonly ListenAddress[] {
  return "length" in listen ? listen : [listen];
}

/** A shared port is shared by the system where it can; where it can't, node:cluster has the parent listen. */
async function listen(
  address: ListenAddress,
  isShared: boolean,
  welcome: (socket: Socket) => void,
): Promise<Server> {
  try {
    return await listenOnce({ ...address, reusePort: isShared && "port" in address }, welcome);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (!isShared || (code !== "ENOTSUP" && code !== "EINVAL")) {
      throw cannotListen(address, error as NodeJS.ErrnoException);
    }
    return await listenOnce(address, welcome).catch((again: unknown) => {
      throw cannotListen(address, again as NodeJS.ErrnoException);
    });
  }
}

function listenOnce(options: ListenOptions, welcome: (socket: Socket) => void): Promise<Server> {
  const server = createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true }, welcome);
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(options, () => {
      resolve(server);
    });
  });
}

/** What a failed listen() means. */
export function cannotListen(address: ListenAddress, error: NodeJS.ErrnoException): TwineError {
  const place = "path" in address ? address.path : `${address.host}:${address.port}`;
  const isTaken = error.code === "EADDRINUSE";
  return new TwineError(
    {
      code: isTaken ? "ROUTER_PORT_TAKEN" : "ROUTER_CANNOT_LISTEN",
      message: isTaken
        ? `another process already listens on ${place}`
        : `can't listen on ${place}: ${error.message}`,
      remedy: isTaken
        ? "end that process, or give the router another port in twine.conf"
        : "give the router a host and a port of this machine in twine.conf",
    },
    { exitCode: EXIT.failure, cause: error },
  );
}
