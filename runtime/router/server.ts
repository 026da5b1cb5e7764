// server.ts: the hash router: listens, and gives every client the whole cluster as one Redis.
//
//   clients -> client-connection -> hot-route: bytes are copied on      -> lane per partition and protocol -> its master
//                                -> dispatch: everything else, by route/ ->
//
// The view source and the partitioner belong to the caller, who closes them after the router.
import { createServer, type Server, type Socket } from "node:net";
import type { ClusterConfig } from "../core/cluster.ts";
import { EXIT, TwineError } from "../core/errors.ts";
import type { Clock } from "../ports/clock.ts";
import type { Partitioner } from "../ports/partitioner.ts";
import type { Log } from "../ports/log.ts";
import { systemRandom, type Random } from "../ports/random.ts";
import type { ViewSource } from "../register/view-source.ts";
import { ClientConnection, type ClientContext } from "./client-connection.ts";
import { openCommandSource } from "./command-source.ts";
import { guardedView } from "../register/guarded-view.ts";
import { hotRoute } from "./hot-route.ts";
import { snapshotOf } from "./stats-collect.ts";
import type { RouterSnapshot } from "./stats-snapshot.ts";
import { laneContext } from "./lane-context.ts";
import { Lanes } from "./lanes.ts";

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
  readonly random?: Random;
}

export interface Router {
  /** What this process has counted, and what waits in it. */
  snapshot(): RouterSnapshot;
  /** Takes no new clients, answers what was sent, ends every connection. */
  close(): Promise<void>;
}

/** How long close() waits for replies that are still owed. */
const DRAIN_MS = 3000;

/** Resolves when every address is listened on. Throws TwineError ROUTER_PORT_TAKEN or ROUTER_CANNOT_LISTEN. */
export async function startRouter(options: RouterOptions): Promise<Router> {
  const { config, clock, log } = options;
  const viewSource = guardedView(options.viewSource, config);
  const guarded = { ...options, viewSource };
  const shared = laneContext(guarded);
  const { stats } = shared;
  const random = options.random ?? systemRandom;
  const { readFrom } = config.settings;
  const lanes = new Lanes({ context: shared, readFrom, random, view: () => viewSource.current() });
  const commands = openCommandSource(options);
  const context: ClientContext = {
    partitions: config.settings.partitions,
    partitioner: options.partitioner,
    viewSource,
    commands,
    random,
    password: options.password,
    holdForMs: config.settings.holdForMs,
    lanes,
    turn: shared.turn,
    stats,
    hotRoute: hotRoute({ config, commands, viewSource, lanes, stats }),
  };
  const clients = new Set<ClientConnection>();
  let lastId = 0;
  const welcome = (socket: Socket): void => {
    const client = new ClientConnection(socket, ++lastId, context);
    clients.add(client);
    stats.clientsAccepted++;
    socket.on("close", () => clients.delete(client));
  };
  stats.viewChanged(viewSource.current(), clock.wallTime());
  let told: string | undefined;
  const endWatch = viewSource.onChange(() => {
    const clash = viewSource.clash();
    if (clash !== undefined && clash !== told) log.error(`nothing is routed: ${clash}`);
    told = clash;
    stats.viewChanged(viewSource.current(), clock.wallTime());
    lanes.viewChanged();
  });
  const stop = (): void => {
    endWatch();
    commands.close();
    lanes.close();
  };
  const servers: Server[] = [];
  try {
    for (const address of addressesOf(options.listen)) {
      servers.push(await listen(address, welcome));
    }
  } catch (error) {
    for (const server of servers) server.close();
    stop();
    throw error;
  }
  return {
    snapshot: () =>
      snapshotOf({
        ...{ stats, queues: lanes.queues(), view: viewSource.current() },
        ...{ clientCount: clients.size, heldBytes: shared.heldBytes },
        isConfirmed: viewSource.isConfirmed(),
      }),
    close: async () => {
      const closing = servers.map((server) => new Promise((resolve) => server.close(resolve)));
      for (const client of clients) client.drain();
      const endDrain = clock.after(DRAIN_MS, () => {
        for (const client of clients) client.destroy();
      });
      await Promise.all(closing);
      endDrain();
      stop();
    },
  };
}

function addressesOf(listen: RouterOptions["listen"]): readonly ListenAddress[] {
  return "length" in listen ? listen : [listen];
}

function listen(address: ListenAddress, welcome: (socket: Socket) => void): Promise<Server> {
  const server = createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true }, welcome);
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      reject(cannotListen(address, error));
    });
    server.listen(address, () => {
      resolve(server);
    });
  });
}

function cannotListen(address: ListenAddress, error: NodeJS.ErrnoException): TwineError {
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
