// user-files.ts: the user files: files that twine.conf names and a user writes (a hash, the routers' users, their
// certificates, the public keys of backups). Pure.
//
//   twine.conf: tls-key certs/router.key ──▶ in the router's container and its twine.conf: /etc/twine/tls-key.pem
//
// A router that runs in a folder of this machine reads them at the paths of twine.conf. In a container they are next to its
// twine.conf under fixed names, so that the same file from another path changes nothing there.
import type { Settings } from "../../runtime/core/cluster.ts";

export type UserFileDirective =
  "hash" | "users-file" | "tls-cert" | "tls-key" | "tls-ca" | "http-token" | "backup-key";

export interface UserFile {
  /** The directive that names it. */
  readonly directive: UserFileDirective;
  /** As written in twine.conf. */
  readonly path: string;
  /** Its name next to the twine.conf of a container. */
  readonly name: string;
  readonly isSecret: boolean;
  /** Octal. For a secret one: readable by the container's user only. */
  readonly mode: number;
}

const HERE = Object.freeze({
  "users-file": "router-users",
  "tls-cert": "tls-cert.pem",
  "tls-key": "tls-key.pem",
  "tls-ca": "tls-ca.pem",
  "http-token": "http-token",
  "backup-key": "backup-key",
});
const SECRET = 0o400;

/** The files that these settings name; also works for the result of `besideConf`. */
export function userFiles(settings: Settings): UserFile[] {
  const { hash, usersFile, tlsCert, tlsKey, tlsCa, httpToken, backupKey } = settings;
  const ownHash = hash.kind === "builtin" ? undefined : hash.path;
  return [
    ...fileOf("hash", ownHash, baseName(ownHash ?? ""), 0o755),
    ...fileOf("users-file", usersFile, HERE["users-file"], SECRET),
    ...fileOf("tls-cert", tlsCert, HERE["tls-cert"], 0o644),
    ...fileOf("tls-key", tlsKey, HERE["tls-key"], SECRET),
    ...fileOf("tls-ca", tlsCa, HERE["tls-ca"], 0o644),
    ...fileOf("http-token", httpToken, HERE["http-token"], SECRET),
    ...fileOf("backup-key", backupKey, HERE["backup-key"], 0o644),
  ];
}

function fileOf(
  directive: UserFileDirective,
  path: string | undefined,
  name: string,
  mode: number,
): UserFile[] {
  return path === undefined ? [] : [{ directive, path, name, isSecret: mode === SECRET, mode }];
}

/** The settings of a container's twine.conf: every user file is next to it. */
export function besideConf(settings: Settings): Settings {
  const { hash, usersFile, tlsCert, tlsKey, tlsCa, httpToken, backupKey } = settings;
  return {
    ...settings,
    // The dot and the slash distinguish a file from a built-in hash.
    hash: hash.kind === "builtin" ? hash : { ...hash, path: `./${baseName(hash.path)}` },
    ...(usersFile === undefined ? {} : { usersFile: HERE["users-file"] }),
    ...(tlsCert === undefined ? {} : { tlsCert: HERE["tls-cert"] }),
    ...(tlsKey === undefined ? {} : { tlsKey: HERE["tls-key"] }),
    ...(tlsCa === undefined ? {} : { tlsCa: HERE["tls-ca"] }),
    ...(httpToken === undefined ? {} : { httpToken: HERE["http-token"] }),
    ...(backupKey === undefined ? {} : { backupKey: HERE["backup-key"] }),
  };
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
