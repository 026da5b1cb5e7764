// server.ts: the hash router: the engine behind listeners, with users and limits.
//
//   socket -> admission: limits, TLS -> engine.attach() -> session, order of replies -> pipelines -> masters
//
// The caller owns the view source and the partitioner, and closes them after the router.
import { createServer, type Server, type Socket } from "node:net";
import type { ClusterConfig } from "../core/cluster.ts";
import { credentialsOf, type Secret } from "../core/credentials.ts";
import { openEngine, type EngineClient } from "../engine/engine.ts";
import type { RouterSnapshot } from "../engine/stats/snapshot.ts";
import type { Clock } from "../ports/clock.ts";
import { listen, listenShared, type ListenAddress } from "../ports/listen.ts";
import type { Log } from "../ports/log.ts";
import type { FingerprintedPartitioner } from "../ports/partitioner.ts";
import type { Random } from "../ports/random.ts";
import { guardedRouting } from "../register/guarded-routing.ts";
import type { ViewSource } from "../register/view-source.ts";
import { FrontDoor } from "./listeners/admission.ts";
import { watchIdle } from "./listeners/idle-watch.ts";
import { routerNeedsRestart } from "../core/conf/needs-restart.ts";
import { loadRules, type RouterRules } from "./rules/reload.ts";
import { watchCertificates } from "./rules/certificate-watch.ts";
import type { RouterTls } from "./rules/tls.ts";

export interface RouterOptions {
  readonly config: ClusterConfig;
  readonly viewSource: ViewSource;
  readonly partitioner: FingerprintedPartitioner;
  /** Clients need it, and the router uses it at the nodes. undefined: no authentication. */
  readonly password: Secret | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly listen: ListenAddress | readonly ListenAddress[];
  /** The router's name in twine.conf. */
  readonly name?: string;
  readonly random?: Random;
  /** Other processes of this router listen on the same addresses. */
  readonly isPortShared?: boolean;
  /** This process's limit of open files; undefined if unknown. */
  readonly descriptors?: number | undefined;
  /** CLIENT ID starts after this number. */
  readonly clientIdsFrom?: number;
  /** The interval at which the certificate files are checked. @default 10000 */
  readonly certificatesEveryMs?: number;
}

const CERTIFICATES_EVERY_MS = 10_000;

export interface Router {
  /**
   * Applies a changed twine.conf and its files. Connections stay open, except those of removed users. Returns the changes
   * that need a restart. Throws a TwineError with all errors; then nothing of the changed file takes effect.
   */
  reload(config: ClusterConfig): Promise<readonly string[]>;
  /** The counters of this process, and its present levels. */
  snapshot(): RouterSnapshot;
  /** Accepts no new clients, sends the outstanding replies and closes every connection, within drain-for. */
  close(): Promise<void>;
}

/**
 * Resolves when the router listens on every address. Throws TwineError PORT_TAKEN, PORT_REFUSED, or the errors of the
 * users and certificates that twine.conf names.
 */
export async function startRouter(options: RouterOptions): Promise<Router> {
  const { config, clock, log, partitioner } = options;
  const rules = await loadRules(config, options.password, options.descriptors);
  logLowered(rules, options);
  const credentials = credentialsOf("router", options.password);
  const routing = guardedRouting(config, partitioner);
  const engine = openEngine({ ...options, rules, routing, credentials });
  const clients = new Set<EngineClient>();
  const accept = (socket: Socket): void => {
    const client = engine.attach(socket, { isTrusted: false });
    clients.add(client);
    socket.on("close", () => {
      clients.delete(client);
    });
  };
  const door = new FrontDoor({ rules, clock, log, clients, accept });
  let current = config;
  // New connections to nodes are opened all the time: TLS on only half of them would be useless.
  const keptTls = ({ server, nodes }: RouterTls): RouterTls => ({
    server,
    nodes: rules.tls.nodes && nodes,
  });
  const certificates = watchCertificates({
    ...{ config: () => current, clock, log },
    everyMs: options.certificatesEveryMs ?? CERTIFICATES_EVERY_MS,
    take: (tls) => {
      rules.tls = keptTls(tls);
      door.rulesChanged();
      engine.rulesChanged();
    },
  });
  const idleWatch = watchIdle(clients, rules, clock);
  const servers: Server[] = [];
  const stop = (): void => {
    idleWatch.end();
    void certificates.stop();
    engine.close();
  };
  try {
    for (const address of addressesOf(options.listen)) {
      servers.push(await listenAt(address, options.isPortShared ?? false, rules, door));
    }
  } catch (error) {
    for (const server of servers) server.close();
    stop();
    throw error;
  }
  return {
    reload: async (changed) => {
      const fresh = await loadRules(changed, options.password, options.descriptors);
      logLowered(fresh, options);
      Object.assign(rules, fresh, { tls: keptTls(fresh.tls) });
      current = changed;
      door.rulesChanged();
      idleWatch.again();
      engine.rulesChanged();
      return routerNeedsRestart(config, changed, options.name);
    },
    snapshot: () => engine.snapshot(),
    close: async () => {
      // The servers only know connections that were not admitted yet.
      const closing = servers.map((server) => new Promise((resolve) => server.close(resolve)));
      door.close();
      await engine.drain();
      await Promise.all(closing);
      stop();
    },
  };
}

function logLowered({ settings, limits }: RouterRules, { descriptors, log }: RouterOptions): void {
  if (limits.clientsMax === settings.maxClients) return;
  log.warn(
    `max-clients ${settings.maxClients} is lowered to ${limits.clientsMax}: this process may open ${descriptors ?? 0} files; ` +
      "raise the limit (ulimit -n, LimitNOFILE of systemd, ulimits of a container)",
    { maxClients: settings.maxClients, lowered: limits.clientsMax, openFilesMax: descriptors },
  );
}

function addressesOf(listenOn: RouterOptions["listen"]): readonly ListenAddress[] {
  return "length" in listenOn ? listenOn : [listenOn];
}

/** The system spreads connections over a shared port if it supports that; otherwise node:cluster's parent listens. */
function listenAt(
  address: ListenAddress,
  isShared: boolean,
  { settings }: RouterRules,
  door: FrontDoor,
): Promise<Server> {
  const keepaliveMs = settings.tcpKeepaliveMs;
  const alive = { keepAlive: keepaliveMs > 0, keepAliveInitialDelay: keepaliveMs };
  const server = (): Server =>
    createServer({ allowHalfOpen: true, noDelay: true, ...alive }, (socket) => {
      door.enter(socket);
    });
  return isShared
    ? listenShared(server, address, "the router")
    : listen(server(), address, "the router");
}
