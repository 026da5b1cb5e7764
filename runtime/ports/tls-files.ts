// tls-files.ts: certificates and keys that twine.conf names, read and tried out together.
//
//   tls-cert, tls-key, tls-ca -> one SecureContextOptions, or every file that can't be read or used
//
// What speaks to the nodes (tls-nodes yes) shows tls-cert to those that ask and believes what tls-ca signed, as Redis
// does; a router's own port serves with the same three.
import { X509Certificate } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import type { ClusterConfig } from "../core/cluster.ts";
import { TwineError, type Problem } from "../core/errors.ts";
import type { LinkTls } from "./link-tls.ts";

type Pem = "tls-cert" | "tls-key" | "tls-ca";

/** What others than owner and group may do with a key. */
const TOO_OPEN = 0o027;

/** How nodes are spoken to; undefined: without TLS, and no file is read. Throws what readTlsFiles throws. */
export async function loadNodesTls(config: ClusterConfig): Promise<LinkTls | undefined> {
  return config.settings.tlsNodes === "yes" ? readTlsFiles(config) : undefined;
}

/** Throws TwineError with TLS_UNREADABLE, TLS_KEY_OPEN and TLS_UNUSABLE, one problem for each file. */
export async function readTlsFiles(config: ClusterConfig): Promise<SecureContextOptions> {
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
  return secure;
}

/** What node:tls finds wrong with the three together. */
function unusable(secure: SecureContextOptions, certPath: string | undefined): Problem[] {
  try {
    createSecureContext(secure);
    // The context passes over an authority that is none, and nobody's certificate would be believed.
    if (Buffer.isBuffer(secure.ca)) new X509Certificate(secure.ca);
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
    remedy: "let it name a file that this process may read; a relative path starts at twine.conf",
  };
}

function openKey(place: string): Problem {
  return {
    code: "TLS_KEY_OPEN",
    message: `tls-key ${place} may be read or changed by others than its owner and group`,
    remedy: `chmod 600 ${place}`,
  };
}
