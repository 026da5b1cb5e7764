// tls-files.ts: reads the certificates and keys of twine.conf and tests them together.
//
//   tls-cert, tls-key, tls-ca -> one SecureContextOptions, or every file that can't be read or used
//
// Connections to nodes (tls-nodes yes) present tls-cert if asked and trust certificates signed by tls-ca, as Redis does.
// A router's own port uses the same three files.
import { X509Certificate } from "node:crypto";
import { dirname, resolve } from "node:path";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import type { ClusterConfig } from "../core/cluster.ts";
import { TwineError, type Problem } from "../core/errors.ts";
import type { LinkTls } from "./link-tls.ts";
import { opennessOf, readSmallFile } from "./small-file.ts";
import { errorText } from "../core/error-text.ts";

type Pem = "tls-cert" | "tls-key" | "tls-ca";

/** Bundles of authorities have a few hundred KB. */
const PEM_BYTES_MAX = 8 * 1024 * 1024;

/** The TLS options for connections to nodes. undefined: without TLS; then no file is read. Throws as readTlsFiles does. */
export function loadNodesTls(config: ClusterConfig): LinkTls | undefined {
  return config.settings.tlsNodes === "yes" ? readTlsFiles(config) : undefined;
}

/** Throws TwineError with TLS_UNREADABLE, TLS_KEY_OPEN and TLS_UNUSABLE, one problem for each file. */
export function readTlsFiles(config: ClusterConfig): SecureContextOptions {
  const { settings, file } = config;
  const problems: Problem[] = [];
  const read = (name: Pem, path: string | undefined): Buffer | undefined => {
    if (path === undefined) return undefined;
    const place = resolve(dirname(file), path);
    try {
      const { bytes, mode } = readSmallFile(place, PEM_BYTES_MAX);
      const isOpen = name === "tls-key" && opennessOf(place, mode) !== undefined;
      if (isOpen) problems.push(openKey(place));
      return bytes;
    } catch (error) {
      problems.push(unreadable(name, error));
      return undefined;
    }
  };
  const cert = read("tls-cert", settings.tlsCert);
  const key = read("tls-key", settings.tlsKey);
  const ca = read("tls-ca", settings.tlsCa);
  const secure: SecureContextOptions = {
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
    ...(ca === undefined ? {} : { ca }),
    minVersion: "TLSv1.2",
  };
  if (problems.length === 0) problems.push(...unusable(secure, settings.tlsCert));
  if (problems.length > 0) throw new TwineError(problems);
  return secure;
}

/** The error of node:tls with the three files together. */
function unusable(secure: SecureContextOptions, certPath: string | undefined): Problem[] {
  try {
    createSecureContext(secure);
    // createSecureContext ignores an invalid CA, and then no certificate would be trusted.
    if (Buffer.isBuffer(secure.ca)) new X509Certificate(secure.ca);
    return [];
  } catch (error) {
    const why = errorText(error);
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
  const why = errorText(error);
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
