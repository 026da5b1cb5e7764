// link-tls.ts: the TLS options of a connection to a node: the trusted authority, and the own certificate.
import { isIP } from "node:net";
import { checkServerIdentity, type ConnectionOptions, type SecureContextOptions } from "node:tls";

/** The authority of the nodes' certificates, and the own certificate and key for nodes that ask for one. The options
    servername, checkServerIdentity and rejectUnauthorized override those of tlsTo. */
export type LinkTls = SecureContextOptions &
  Pick<ConnectionOptions, "servername" | "checkServerIdentity" | "rejectUnauthorized">;

/** The options of node:tls for a connection to `host`; the certificate must have that name. localhost and 127.0.0.1 are
    one host, so a certificate for either is accepted. */
export function tlsTo(host: string, tls: LinkTls): ConnectionOptions {
  const bearer = tls.servername ?? host;
  const isHere = bearer === "127.0.0.1" || bearer === "localhost";
  const names = isHere ? ["localhost", "127.0.0.1"] : [bearer];
  return {
    // RFC 6066, section 3: an address is not a server name.
    ...(isIP(host) === 0 ? { servername: host } : {}),
    checkServerIdentity: (_host, certificate) => {
      const failures = names.map((name) => checkServerIdentity(name, certificate));
      return failures.includes(undefined) ? undefined : failures[0];
    },
    ...tls,
  };
}
