// link-tls.ts: how a connection to a node is encrypted: whose certificate is believed, and which one is shown.
import { isIP } from "node:net";
import { checkServerIdentity, type ConnectionOptions, type SecureContextOptions } from "node:tls";

/** The authority that signed the nodes' certificates, and our own certificate and key for nodes that ask for one. What
    stands here of names and of who is believed wins over what tlsTo would choose. */
export type LinkTls = SecureContextOptions &
  Pick<ConnectionOptions, "servername" | "checkServerIdentity" | "rejectUnauthorized">;

/** What node:tls needs for a connection to `host`, whose certificate must bear that name. localhost and 127.0.0.1 are one
    host, so a certificate for either will do. */
export function tlsTo(host: string, tls: LinkTls): ConnectionOptions {
  const bearer = tls.servername ?? host;
  const isHere = bearer === "127.0.0.1" || bearer === "localhost";
  const names = isHere ? ["localhost", "127.0.0.1"] : [bearer];
  return {
    // RFC 6066, section 3: an address is no server name.
    ...(isIP(host) === 0 ? { servername: host } : {}),
    checkServerIdentity: (_host, certificate) => {
      const failures = names.map((name) => checkServerIdentity(name, certificate));
      return failures.includes(undefined) ? undefined : failures[0];
    },
    ...tls,
  };
}
