// tls.ts: what the certificates and keys of twine.conf mean for both sides of a router.
//
//   clients --TLS--> router      tls-cert, tls-key; tls-ca checks clients' certificates when tls-auth-clients asks for them
//   router --TLS--> nodes        tls-nodes; tls-ca checks theirs, and tls-cert is shown to them, as Redis does
//
// Every file is read anew at SIGHUP, so a renewed certificate serves the next connection; open ones stay as they are.
import type { SecureContextOptions } from "node:tls";
import type { ClusterConfig } from "../../core/cluster.ts";
import type { LinkTls } from "../../ports/link-tls.ts";
import { readTlsFiles } from "../../ports/tls-files.ts";

export interface ServerTls {
  readonly secure: SecureContextOptions;
  readonly requestCert: boolean;
  /** Clients without a certificate of ours are turned away. */
  readonly rejectUnauthorized: boolean;
  /** Everybody may speak without TLS, and not only this machine. */
  readonly isPlainForAll: boolean;
}

export interface RouterTls {
  /** undefined: clients speak without TLS. */
  readonly server: ServerTls | undefined;
  /** undefined: nodes are spoken to without TLS. */
  readonly nodes: LinkTls | undefined;
}

/** Reads what twine.conf names. Throws TwineError with every file that can't be read or used. */
export async function loadTls(config: ClusterConfig): Promise<RouterTls> {
  const { settings } = config;
  const secure = await readTlsFiles(config);
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
