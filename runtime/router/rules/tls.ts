// tls.ts: the TLS settings of both sides of a router, from the certificates and keys of twine.conf.
//
//   clients --TLS--> router      tls-cert, tls-key; tls-ca checks clients' certificates if tls-auth-clients requires them
//   router --TLS--> nodes        tls-nodes; tls-ca checks the nodes' certificates; they get tls-cert, as in Redis
//
// The files are read again at SIGHUP: new connections use the new certificate, open ones keep the old one.
import type { SecureContextOptions } from "node:tls";
import type { ClusterConfig } from "../../core/cluster.ts";
import type { LinkTls } from "../../ports/link-tls.ts";
import { readTlsFiles } from "../../ports/tls-files.ts";

export interface ServerTls {
  readonly secure: SecureContextOptions;
  readonly requestCert: boolean;
  /** Clients without a certificate signed by our CA are rejected. */
  readonly rejectUnauthorized: boolean;
  /** All clients may connect without TLS, not only those of this machine. */
  readonly isPlainForAll: boolean;
}

export interface RouterTls {
  /** undefined: clients connect without TLS. */
  readonly server: ServerTls | undefined;
  /** undefined: connections to nodes are without TLS. */
  readonly nodes: LinkTls | undefined;
}

/** Reads the files of twine.conf. Throws a TwineError with every file that can't be read or used. */
export function loadTls(config: ClusterConfig): RouterTls {
  const { settings } = config;
  const secure = readTlsFiles(config);
  const asks = settings.tlsAuthClients;
  return {
    server:
      settings.tlsCert === undefined
        ? undefined
        : {
            secure,
            requestCert: asks !== "no",
            rejectUnauthorized: asks === "yes",
            isPlainForAll: settings.tlsPlain === "all",
          },
    nodes: settings.tlsNodes === "yes" ? secure : undefined,
  };
}
