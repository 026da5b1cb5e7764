// client-conf.ts: from what a program says of its cluster to a ClusterConfig.
//
//   conf: a path   confText: the text   statusNodes: only where the view can be read; the view says the rest
import { readFileSync } from "node:fs";
import type { ClusterConfig, Settings, StatusNode } from "../core/cluster.ts";
import { completeConfig } from "../core/conf/complete.ts";
import { DEFAULT_SETTINGS } from "../core/conf/directives.ts";
import { parseConf } from "../core/conf/parse.ts";
import { TwineError } from "../core/errors.ts";
import { hashingFrom } from "../core/hashing.ts";
import type { View } from "../core/view.ts";

/** Settings that a program may have otherwise than its twine.conf says. */
export type ClientSettings = Pick<
  Settings,
  "readFrom" | "holdForMs" | "holdBytes" | "retryUnknown" | "ackReplicas" | "ackTimeoutMs"
>;

/** "host:port", or with the database of the status node. */
export type StatusNodeAddress =
  string | { readonly host: string; readonly port: number; readonly db?: number };

/** One of `conf`, `confText` and `statusNodes`. */
export interface ConfSource {
  /** Path of twine.conf. */
  readonly conf?: string;
  /** The text of a twine.conf; relative paths in it are relative to the working directory. */
  readonly confText?: string;
  readonly statusNodes?: readonly StatusNodeAddress[];
  /** With `statusNodes`: the cluster's name, "twine" unless told otherwise. */
  readonly cluster?: string;
}

const NAMELESS = "twine.conf";

/** Throws CLIENT_CONF_MISSING, CONF_UNREADABLE, STATUS_ADDRESS_BAD, or every problem of the file. With `statusNodes` the
    hashing is still that of the defaults: see withHashing. */
export function readClientConf(
  source: ConfSource,
  overrides: Partial<ClientSettings>,
): ClusterConfig {
  const given = [source.conf, source.confText, source.statusNodes].filter(
    (way) => way !== undefined,
  );
  if (given.length !== 1) {
    throw new TwineError({
      code: "CLIENT_CONF_MISSING",
      message:
        given.length === 0
          ? "the client was not told of its cluster"
          : "the client was told of its cluster in several ways",
      remedy: "give one of conf (a path), confText and statusNodes",
    });
  }
  const config =
    source.statusNodes === undefined ? readFileOrText(source) : statusOnly(source.statusNodes);
  const cluster = source.cluster === undefined ? {} : { cluster: source.cluster };
  return { ...config, settings: { ...config.settings, ...overrides, ...cluster } };
}

function readFileOrText({ conf, confText }: ConfSource): ClusterConfig {
  const file = conf ?? NAMELESS;
  const parsed = parseConf(confText ?? readText(file), file);
  if (parsed.config === undefined) throw new TwineError(parsed.errors);
  return completeConfig(parsed.config).config;
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new TwineError(
      { code: "CONF_UNREADABLE", message: `${file}: ${why}`, remedy: "make it a readable file" },
      { cause },
    );
  }
}

function statusOnly(addresses: readonly StatusNodeAddress[]): ClusterConfig {
  const file = "the client's statusNodes";
  const nodes = addresses.map((address, index): StatusNode => {
    const at = { file, line: 1, column: index + 1 };
    const { host, port, db = 0 } = typeof address === "string" ? placeOf(address) : address;
    return { kind: "status", name: `s${index + 1}`, host, port, db, at };
  });
  return { file, nodes, settings: { ...DEFAULT_SETTINGS, partitions: 1 } };
}

function placeOf(address: string): Exclude<StatusNodeAddress, string> {
  const found = /^(.+):(\d{1,5})$/.exec(address);
  if (found !== null) return { host: found[1] ?? "", port: Number(found[2]) };
  throw new TwineError({
    code: "STATUS_ADDRESS_BAD",
    message: `'${address}' is no address of a status node`,
    remedy: "write host:port, as in db1.example.com:6399",
  });
}

/** The hashing of the view in the place of the defaults. Throws HASHING_UNKNOWN when the view doesn't tell it. */
export function withHashing(config: ClusterConfig, view: View): ClusterConfig {
  const hashing = hashingFrom(view.hashing ?? "");
  if (hashing !== undefined) return { ...config, settings: { ...config.settings, ...hashing } };
  throw new TwineError({
    code: "HASHING_UNKNOWN",
    message: `the view says of the keys' places only '${view.hashing ?? ""}'`,
    remedy: "give the client the cluster's twine.conf instead of statusNodes",
  });
}
