// admission.ts: admits connections. The first byte shows whether it is TLS, so one port serves both.
//
//   socket -- too many --> -ERR, closed
//      |----- no certificate in twine.conf, or plain bytes from a client that may send them --> accept
//      '----- 0x16, a TLS handshake --> node:tls --> accept
//
// With a certificate, only clients of this machine may connect without TLS (health checks, an operator's redis-cli),
// unless tls-plain is all. So a remote client can't be downgraded to plain text.
import type { Socket } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import type { Clock } from "../../ports/clock.ts";
import type { Log } from "../../ports/log.ts";
import { errorReply } from "../../resp/encode.ts";
import { withSharedReads } from "../../engine/sessions/shared-reads.ts";
import { TOO_MANY_CLIENTS } from "../../engine/limits.ts";
import type { RouterRules } from "../rules/reload.ts";
import type { ServerTls } from "../rules/tls.ts";

export interface FrontDoorOptions {
  readonly rules: RouterRules;
  readonly clock: Clock;
  readonly log: Log;
  /** The admitted clients. */
  readonly clients: { readonly size: number };
  readonly accept: (socket: Socket) => void;
}

/** The first byte of a TLS handshake record (RFC 8446, section 5.1). No command begins with it. */
const HANDSHAKE = 22;
/** The timeout of a whole handshake. */
const HANDSHAKE_MS = 10_000;
const PLAIN_REFUSED = errorReply("ERR twine: this router speaks TLS");

export class FrontDoor {
  readonly #options: FrontDoorOptions;
  /** Connections that have sent no byte yet. */
  readonly #waiting = new Set<Socket>();
  #tls: Server | undefined;

  constructor(options: FrontDoorOptions) {
    this.#options = options;
    this.rulesChanged();
  }

  /** Call this when the certificate may have changed. */
  rulesChanged(): void {
    const { server } = this.#options.rules.tls;
    this.#tls = server === undefined ? undefined : this.#tlsServer(server);
  }

  enter(socket: Socket): void {
    const { rules, clients } = this.#options;
    // Without a listener an error would end the process.
    socket.on("error", () => socket.destroy());
    if (clients.size + this.#waiting.size >= rules.limits.clientsMax) {
      socket.end(TOO_MANY_CLIENTS, () => socket.destroy());
      return;
    }
    const { server } = rules.tls;
    if (server === undefined || this.#tls === undefined)
      this.#options.accept(withSharedReads(socket));
    else this.#look(socket, server.isPlainForAll || isLocal(socket), this.#tls);
  }

  /** Closes connections that have sent nothing yet. */
  close(): void {
    for (const socket of this.#waiting) socket.destroy();
  }

  #look(socket: Socket, mayBePlain: boolean, tls: Server): void {
    this.#waiting.add(socket);
    const endTimer = mayBePlain
      ? undefined
      : this.#options.clock.after(HANDSHAKE_MS, () => socket.destroy());
    const decided = (): void => {
      endTimer?.();
      this.#waiting.delete(socket);
    };
    socket.once("close", decided);
    socket.once("data", (first: Buffer) => {
      decided();
      socket.pause();
      socket.unshift(first);
      if (first[0] === HANDSHAKE) {
        tls.emit("connection", socket);
      } else if (mayBePlain) {
        this.#options.accept(socket);
        socket.resume();
      } else {
        socket.end(PLAIN_REFUSED, () => socket.destroy());
      }
    });
  }

  #tlsServer({ secure, requestCert, rejectUnauthorized }: ServerTls): Server {
    const { log, accept } = this.#options;
    const server = createServer({
      ...secure,
      requestCert,
      rejectUnauthorized,
      handshakeTimeout: HANDSHAKE_MS,
      allowHalfOpen: true,
    });
    server.on("secureConnection", (socket) => {
      socket.on("error", () => socket.destroy());
      if (requestCert && !socket.authorized && showsCertificate(socket)) {
        log.debug("a client's certificate is not ours", { why: String(socket.authorizationError) });
        socket.destroy();
        return;
      }
      accept(socket);
    });
    server.on("tlsClientError", (error, socket) => {
      log.debug("a client failed at TLS", { why: error.message });
      socket.destroy();
    });
    return server;
  }
}

/** Whether the client is on this machine. */
export function isLocal({
  remoteAddress,
  localAddress,
}: Pick<Socket, "remoteAddress" | "localAddress">): boolean {
  const address = remoteAddress?.replace(/^::ffff:/, "") ?? "";
  // A Unix socket has no address.
  return (
    remoteAddress === undefined ||
    remoteAddress === localAddress ||
    address.startsWith("127.") ||
    address === "::1"
  );
}

function showsCertificate(socket: TLSSocket): boolean {
  return Object.keys(socket.getPeerCertificate()).length > 0;
}
