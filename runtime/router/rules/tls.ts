// tls.ts: certificates and keys of twine.conf, read and tried out, for both sides of a router.
//
//   clients --TLS--> router      tls-cert, tls-key; tls-ca checks clients' certificates when tls-auth-clients asks for them
//   router --TLS--> nodes        tls-nodes; tls-ca checks theirs, and tls-cert is shown to them, as Redis does
//
// Every file is read anew at SIGHUP, so a renewed certificate serves the next connection; open ones stay as they are.
import { readFile, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import type { ClusterConfig } from "../../core/cluster.ts";
import { TwineError, type Problem } from "../../core/errors.ts";
import type { LinkTls } from "../../ports/link-tls.ts";

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

type Pem = "tls-cert" | "tls-key" | "tls-ca";

/** What others than owner and group may do with a key. */
const TOO_OPEN = 0o027;

/** Reads what twine.conf names. Throws TwineError with every file that can't be read or used. */
export async function loadTls(config: ClusterConfig): Promise<RouterTls> {
  const { settings, file } = config;
  const problems: Problem[] = [];
  const read = async (name: Pem, path: string | undefined): Promise<Buffer | undefined> => {
    if (path === undefined) return undefined;
    const place = resolve(dirname(file), path);
    try {
      const isOpen = name === "tls-key" && ((await stat(place)).mode & TOO_OPEN) !== 0;
      if (isOpen) problems.push(openKey(place));
      return await readFile(place);
    } catch (error) {
      problems.push(unreadable(name, error));
      return undefined;
    }
  };
  const cert = await read("tls-cert", settings.tlsCert);
  const key = await read("tls-key", settings.tlsKey);
  const ca = await read("tls-ca", settings.tlsCa);
  const secure: SecureContextOptions = {
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
    ...(ca === undefined ? {} : { ca }),
    minVersion: "TLSv1.2",
  };
  if (problems.length === 0) problems.push(...unusable(secure, settings.tlsCert));
  if (problems.length > 0) throw new TwineError(problems);
  const asks = settings.tlsAuthClients;
  return {
    server:
      cert === undefined
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

/** What node:tls finds wrong with the three together. */
function unusable(secure: SecureContextOptions, certPath: string | undefined): Problem[] {
  try {
    createSecureContext(secure);
    return [];
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return [
      {
        code: "TLS_UNUSABLE",
        message: `tls-cert ${certPath ?? ""}, tls-key and tls-ca can't be used together: ${why}`,
        remedy: "name PEM files: the certificate (with its chain), its own key, and the authority",
      },
    ];
  }
}

function unreadable(name: Pem, error: unknown): Problem {
  const why = error instanceof Error ? error.message : String(error);
  return {
    code: "TLS_UNREADABLE",
    message: `${name}: ${why}`,
    remedy: "let it name a file that the router may read; a relative path starts at twine.conf",
  };
}

function openKey(place: string): Problem {
  return {
    code: "TLS_KEY_OPEN",
    message: `tls-key ${place} may be read or changed by others than its owner and group`,
    remedy: `chmod 600 ${place}`,
  };
}
