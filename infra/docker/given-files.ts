// given-files.ts: the files that twine.conf names, read where pulumi runs and tried out before anything is made: a router
// that can't use one would be missed only after its old container is gone.
//
//   path of twine.conf ── read, from its folder ─┐
//   `files` of a program ── as they are ─────────┴─▶ text ──▶ upload of the routers' containers
//
// Who may read a file on this machine is its owner's business: a checkout knows no modes. In the container a secret one is
// for the container's user alone.
import { isUtf8 } from "node:buffer";
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { createSecureContext } from "node:tls";
import type * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "../../runtime/core/cluster.ts";
import type { Problem, SourceAt } from "../../runtime/core/errors.ts";
import { parseUsers } from "../../runtime/core/router-users.ts";
import { givenFiles, type GivenDirective, type GivenFile } from "../plan/given-files.ts";

/** Directive that names the file -> its text. What is an Output can't be tried out before it is known. */
export type GivenTexts = Readonly<Partial<Record<GivenDirective, pulumi.Input<string>>>>;

/** A compiled hash: as a text its bytes would not survive. */
export interface GivenBytes {
  readonly base64: string;
}

export type Given = Readonly<Partial<Record<GivenDirective, pulumi.Input<string> | GivenBytes>>>;

export interface GivenContents {
  readonly contents: Given;
  readonly problems: readonly Problem[];
}

/** A twine.conf as it was read: its relative paths start at its own folder. */
export interface ReadConf {
  readonly config: ClusterConfig;
  readonly places: ReadonlyMap<string, SourceAt>;
}

/** What every file that `conf` names holds; `own` texts come first. Nothing throws: whatever is wrong is a problem. */
export function readGivenFiles(
  conf: ReadConf,
  own: GivenTexts | undefined,
  hasPassword: boolean,
): GivenContents {
  const files = givenFiles(conf.config.settings);
  const given: Partial<Record<GivenDirective, pulumi.Input<string> | GivenBytes>> = {};
  const problems: Problem[] = [...nodesWithTls(conf), ...unasked(files, own)];
  for (const file of files) {
    const content = own?.[file.directive] ?? readOne(conf, file, problems);
    if (content !== undefined) given[file.directive] = content;
  }
  problems.push(...wrongUsers(conf, given, hasPassword), ...unusableTls(conf, given));
  return { contents: given, problems };
}

function readOne(
  { config, places }: ReadConf,
  { directive, path }: GivenFile,
  problems: Problem[],
): string | GivenBytes | undefined {
  try {
    const bytes = readFileSync(resolve(dirname(config.file), path));
    return directive !== "hash" || isUtf8(bytes)
      ? bytes.toString("utf8")
      : { base64: bytes.toString("base64") };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    problems.push({
      code: "DOCKER_FILE_UNREADABLE",
      message: `${directive} ${path}: ${why}`,
      ...placed(places.get(directive)),
      remedy:
        "put the file there, on the machine where pulumi runs, or correct the line; " +
        "a relative path starts at twine.conf",
    });
    return undefined;
  }
}

/** A file that no line of twine.conf names would be passed over without a word. */
function unasked(files: readonly GivenFile[], own: GivenTexts = {}): Problem[] {
  const asked: readonly string[] = files.map(({ directive }) => directive);
  return Object.keys(own)
    .filter((directive) => !asked.includes(directive))
    .map((directive) => ({
      code: "DOCKER_FILE_UNASKED",
      message: `files["${directive}"] is given, and twine.conf names no file of that kind`,
      remedy: `add a line ${directive} FILE to twine.conf, or leave the text out`,
    }));
}

/** Twine writes their redis.conf, and nobody can put a TLS terminator between. */
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
  { "users-file": text }: Given,
  hasPassword: boolean,
): readonly Problem[] {
  if (typeof text !== "string") return [];
  const name = resolve(dirname(file), settings.usersFile ?? "");
  return parseUsers(text, name, hasPassword).errors;
}

/** What node:tls finds wrong with the files together, as a router would. */
function unusableTls({ config: { settings }, places }: ReadConf, given: Given): Problem[] {
  const { "tls-cert": cert, "tls-key": key, "tls-ca": ca } = given;
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
    // The context passes over an authority that is none, and nobody's certificate would be believed.
    if (typeof ca === "string") new X509Certificate(ca);
    return [];
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const named = (["tls-cert", "tls-key", "tls-ca"] as const).filter((name) => name in given);
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
