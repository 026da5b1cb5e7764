// given-files.ts: the files that twine.conf names and a person gives: a hash of one's own, the routers' users, their
// certificates. Pure.
//
//   twine.conf: tls-key certs/router.key ──▶ in the router's container: /etc/twine/tls-key.pem, and its twine.conf says so
//
// A router that runs in a folder of this machine finds them where twine.conf says. In a container they lie beside its
// twine.conf, under names that don't tell where they came from: the same file from another path changes nothing there.
import type { Settings } from "../../runtime/core/cluster.ts";

export type GivenDirective = "hash" | "users-file" | "tls-cert" | "tls-key" | "tls-ca";

export interface GivenFile {
  /** The directive that names it. */
  readonly directive: GivenDirective;
  /** As twine.conf has it. */
  readonly path: string;
  /** What it is called beside the twine.conf of a container. */
  readonly name: string;
  readonly isSecret: boolean;
  /** Octal. Of a secret one: for the container's user alone. */
  readonly mode: number;
}

const HERE = Object.freeze({
  "users-file": "router-users",
  "tls-cert": "tls-cert.pem",
  "tls-key": "tls-key.pem",
  "tls-ca": "tls-ca.pem",
});
const SECRET = 0o400;

/** The files that these settings name; of settings that `besideConf` made, too. */
export function givenFiles(settings: Settings): GivenFile[] {
  const { hash, usersFile, tlsCert, tlsKey, tlsCa } = settings;
  const ownHash = hash.kind === "builtin" ? undefined : hash.path;
  return [
    ...given("hash", ownHash, baseName(ownHash ?? ""), 0o755),
    ...given("users-file", usersFile, HERE["users-file"], SECRET),
    ...given("tls-cert", tlsCert, HERE["tls-cert"], 0o644),
    ...given("tls-key", tlsKey, HERE["tls-key"], SECRET),
    ...given("tls-ca", tlsCa, HERE["tls-ca"], 0o644),
  ];
}

function given(
  directive: GivenDirective,
  path: string | undefined,
  name: string,
  mode: number,
): GivenFile[] {
  return path === undefined ? [] : [{ directive, path, name, isSecret: mode === SECRET, mode }];
}

/** The settings as a container's twine.conf has them: every given file lies beside it. */
export function besideConf(settings: Settings): Settings {
  const { hash, usersFile, tlsCert, tlsKey, tlsCa } = settings;
  return {
    ...settings,
    // The dot and the slash are what tells a file from a built-in hash.
    hash: hash.kind === "builtin" ? hash : { ...hash, path: `./${baseName(hash.path)}` },
    ...(usersFile === undefined ? {} : { usersFile: HERE["users-file"] }),
    ...(tlsCert === undefined ? {} : { tlsCert: HERE["tls-cert"] }),
    ...(tlsKey === undefined ? {} : { tlsKey: HERE["tls-key"] }),
    ...(tlsCa === undefined ? {} : { tlsCa: HERE["tls-ca"] }),
  };
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
