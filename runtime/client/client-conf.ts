// client-conf.ts: from what a program says of its cluster to a ClusterConfig.
//
//   conf: a path   confText: the text   statusNodes: only where the view can be read; the view says the rest
import { readFileSync } from "node:fs";
import { nodesOf, type ClusterConfig, type Settings, type StatusNode } from "../core/cluster.ts";
import { completeConfig } from "../core/conf/complete.ts";
import { DEFAULT_SETTINGS } from "../core/conf/directives.ts";
import { parseConf } from "../core/conf/parse.ts";
import { TwineError, type Problem } from "../core/errors.ts";
import { hashingFrom } from "../core/hashing.ts";
import type { View } from "../core/view.ts";
import {
  addressProblem,
  optionProblems,
  refuseProblems,
  shown,
  TWINE_RULES,
} from "./client-options.ts";

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

/** Throws everything that is wrong with the options at once (CLIENT_OPTION_BAD, CLIENT_CONF_MISSING, STATUS_ADDRESS_BAD),
    CONF_UNREADABLE, every problem of the file, or CONF_ACK_REPLICAS. With `statusNodes` the hashing is still that of the
    defaults: see withHashing. */
export function readClientConf(options: ConfSource & Partial<ClientSettings>): ClusterConfig {
  refuseProblems(clientProblems(options));
  const { statusNodes, cluster } = options;
  const config = statusNodes === undefined ? readFileOrText(options) : statusOnly(statusNodes);
  const named = cluster === undefined ? {} : { cluster };
  const settings = { ...config.settings, ...overridesOf(options), ...named };
  if (statusNodes === undefined) {
    const partitions = nodesOf(config, "data").map(({ partition }) => partition);
    refuseProblems(ackProblems(settings.ackReplicas, partitions));
  }
  return { ...config, settings };
}

function clientProblems(options: unknown): Problem[] {
  const problems = optionProblems(options, TWINE_RULES);
  const { conf, confText, statusNodes } = (options ?? {}) as {
    [name in keyof ConfSource]: unknown;
  };
  const given = [conf, confText, statusNodes].filter((way) => way !== undefined);
  if (given.length !== 1) {
    problems.push({
      code: "CLIENT_CONF_MISSING",
      message:
        given.length === 0
          ? "the client was not told of its cluster"
          : "the client was told of its cluster in several ways",
      remedy: "give one of conf (a path), confText and statusNodes",
    });
  }
  if (!Array.isArray(statusNodes)) return problems;
  return [
    ...problems,
    ...statusNodes.flatMap((address: unknown): Problem[] => {
      const why = addressProblem(typeof address === "string" ? placeOf(address) : address);
      if (why === undefined) return [];
      return [
        {
          code: "STATUS_ADDRESS_BAD",
          message: `${shown(address)} is no address of a status node: ${why}`,
          remedy: "write host:port, as in db1.example.com:6399, or { host, port }",
        },
      ];
    }),
  ];
}

/** Partitions that have fewer replicas than a write must reach: every write to them would be UNDERREPLICATED. `partitions`
    names the partition of each data node. */
export function ackProblems(ackReplicas: number, partitions: readonly number[]): Problem[] {
  const replicas = new Map<number, number>();
  for (const partition of partitions) replicas.set(partition, (replicas.get(partition) ?? -1) + 1);
  const short = [...replicas].filter(([, count]) => count < ackReplicas);
  if (short.length === 0) return [];
  const fewest = Math.min(...short.map(([, count]) => count));
  const names = short.map(([partition]) => partition).sort((a, b) => a - b);
  return [
    {
      code: "CONF_ACK_REPLICAS",
      message:
        `option ackReplicas ${ackReplicas} wants more replicas than there are in ` +
        `partition${names.length > 1 ? "s" : ""} ${names.join(", ")} (as few as ${fewest})`,
      remedy: `give ackReplicas ${fewest}, or add data nodes to the partition`,
    },
  ];
}

function overridesOf(options: Partial<ClientSettings>): Partial<ClientSettings> {
  const names = [
    "readFrom",
    "holdForMs",
    "holdBytes",
    "retryUnknown",
    "ackReplicas",
    "ackTimeoutMs",
  ] as const;
  const given = names.filter((name) => options[name] !== undefined);
  return Object.fromEntries(given.map((name) => [name, options[name]]));
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

/** Of "host:port"; what it isn't is found by addressProblem. */
function placeOf(address: string): Exclude<StatusNodeAddress, string> {
  const found = /^(.+):(\d{1,5})$/.exec(address);
  return { host: found?.[1] ?? address, port: Number(found?.[2] ?? Number.NaN) };
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
