// user-files.ts: reads the user files (files that twine.conf names) on the machine where pulumi runs, and checks them
// before anything is created. Otherwise a file that a router can't use would be detected only after the router's old
// container is removed.
//
//   path of twine.conf ── read, from its folder ─┐
//   `files` of a program ── as they are ─────────┴─▶ text ──▶ upload of the routers' containers
//
// File modes on this machine are not checked, because a checkout does not preserve them. In the container a secret file is
// readable by the container's user only.
import { isUtf8 } from "node:buffer";
import { X509Certificate } from "node:crypto";
import { dirname, resolve } from "node:path";
import { createSecureContext } from "node:tls";
import type * as pulumi from "@pulumi/pulumi";
import { parseAgeKeys } from "../../runtime/core/age-keys.ts";
import type { ClusterConfig } from "../../runtime/core/cluster.ts";
import type { Problem, SourceAt } from "../../runtime/core/errors.ts";
import { parseUsers } from "../../runtime/core/router-users.ts";
import { readSmallFile } from "../../runtime/ports/small-file.ts";
import { userFiles, type UserFileDirective, type UserFile } from "../plan/user-files.ts";
import { errorText } from "../../runtime/core/error-text.ts";

/** They are stored in the state of the stack, so they must be small. */
const FILE_BYTES_MAX = 16 * 1024 * 1024;

/** Directive that names the file -> its text. An Output can't be checked before it is known. */
export type UserFileTexts = Readonly<Partial<Record<UserFileDirective, pulumi.Input<string>>>>;

/** A compiled hash: its bytes are not valid UTF-8. */
export interface UserFileBytes {
  readonly base64: string;
}

export type UserFileContents = Readonly<
  Partial<Record<UserFileDirective, pulumi.Input<string> | UserFileBytes>>
>;

export interface ReadUserFiles {
  readonly contents: UserFileContents;
  readonly problems: readonly Problem[];
}

/** A parsed twine.conf: its relative paths start at its own folder. */
export interface ReadConf {
  readonly config: ClusterConfig;
  readonly places: ReadonlyMap<string, SourceAt>;
}

/** The contents of every file that `conf` names; a text in `own` replaces the file. Problems are returned, not thrown. */
export function readUserFiles(
  conf: ReadConf,
  own: UserFileTexts | undefined,
  hasPassword: boolean,
): ReadUserFiles {
  const files = userFiles(conf.config.settings);
  const contents: Partial<Record<UserFileDirective, pulumi.Input<string> | UserFileBytes>> = {};
  const problems: Problem[] = [...nodesWithTls(conf), ...unnamed(files, own)];
  for (const file of files) {
    const content = own?.[file.directive] ?? readOne(conf, file, problems);
    if (content !== undefined) contents[file.directive] = content;
  }
  problems.push(...wrongUsers(conf, contents, hasPassword), ...unusableTls(conf, contents));
  problems.push(...wrongKeys(conf, contents));
  return { contents, problems };
}

function readOne(
  { config, places }: ReadConf,
  { directive, path }: UserFile,
  problems: Problem[],
): string | UserFileBytes | undefined {
  try {
    const { bytes } = readSmallFile(resolve(dirname(config.file), path), FILE_BYTES_MAX);
    return directive !== "hash" || isUtf8(bytes)
      ? bytes.toString("utf8")
      : { base64: bytes.toString("base64") };
  } catch (error) {
    const why = errorText(error);
    problems.push({
      code: "DOCKER_FILE_UNREADABLE",
      message: `${directive} ${path}: ${why}`,
      ...placed(places.get(directive)),
      remedy:
        "create the file on the machine where pulumi runs, or correct the line; " +
        "a relative path starts at the folder of twine.conf",
    });
    return undefined;
  }
}

/** A text for a directive that twine.conf does not have would have no effect. */
function unnamed(files: readonly UserFile[], own: UserFileTexts = {}): Problem[] {
  const named: readonly string[] = files.map(({ directive }) => directive);
  return Object.keys(own)
    .filter((directive) => !named.includes(directive))
    .map((directive) => ({
      code: "DOCKER_FILE_UNNAMED",
      message: `files["${directive}"] is set, but twine.conf has no ${directive} line`,
      remedy: `add a line ${directive} FILE to twine.conf, or remove files["${directive}"]`,
    }));
}

/** Twine writes their redis.conf, and a TLS terminator can't be placed in front of them. */
function nodesWithTls({ config, places }: ReadConf): Problem[] {
  if (config.settings.tlsNodes === "no") return [];
  return [
    {
      code: "DOCKER_TLS_NODES",
      message:
        "tls-nodes yes: redis-servers in containers speak no TLS, so no router could reach one",
      ...placed(places.get("tls-nodes")),
      remedy: "leave the line out; the routers speak TLS to their clients all the same",
    },
  ];
}

function wrongUsers(
  { config: { file, settings } }: ReadConf,
  { "users-file": text }: UserFileContents,
  hasPassword: boolean,
): readonly Problem[] {
  if (typeof text !== "string") return [];
  const name = resolve(dirname(file), settings.usersFile ?? "");
  return parseUsers(text, name, hasPassword).errors;
}

function wrongKeys(
  { config: { file, settings } }: ReadConf,
  { "backup-key": text }: UserFileContents,
): readonly Problem[] {
  if (typeof text !== "string") return [];
  return parseAgeKeys(text, resolve(dirname(file), settings.backupKey ?? ""), "public").problems;
}

/** Errors that node:tls finds in the files together, as a router would. */
function unusableTls(
  { config: { settings }, places }: ReadConf,
  contents: UserFileContents,
): Problem[] {
  const { "tls-cert": cert, "tls-key": key, "tls-ca": ca } = contents;
  const { tlsCert, tlsCa } = settings;
  const isKnown =
    (tlsCert === undefined || (typeof cert === "string" && typeof key === "string")) &&
    (tlsCa === undefined || typeof ca === "string");
  if (!isKnown) return [];
  try {
    createSecureContext({
      ...(typeof cert === "string" && typeof key === "string" ? { cert, key } : {}),
      ...(typeof ca === "string" ? { ca } : {}),
    });
    // createSecureContext ignores an invalid authority, and then no certificate would be trusted.
    if (typeof ca === "string") new X509Certificate(ca);
    return [];
  } catch (error) {
    const why = errorText(error);
    const named = (["tls-cert", "tls-key", "tls-ca"] as const).filter((name) => name in contents);
    return [
      {
        code: "DOCKER_TLS_UNUSABLE",
        message: `${named.join(", ")} can't be used${named.length > 1 ? " together" : ""}: ${why}`,
        ...placed(places.get(named[0] ?? "tls-ca")),
        remedy: "name PEM files: the certificate (with its chain), its own key, and the authority",
      },
    ];
  }
}

function placed(at: SourceAt | undefined): { readonly at?: SourceAt } {
  return at === undefined ? {} : { at };
}
