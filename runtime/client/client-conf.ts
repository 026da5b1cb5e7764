// client-conf.ts: makes a ClusterConfig from a program's options.
//
//   conf: a path   confText: the text   statusNodes: only the addresses; the view has the rest
import { proxyCommand, requireTwinesMonitors } from "../core/not-with-sentinel.ts";
import { nodesOf, type ClusterConfig, type Settings, type StatusNode } from "../core/cluster.ts";
import { ackReplicasProblem } from "../core/conf/ack-replicas.ts";
import { completeConfig } from "../core/conf/complete.ts";
import { DEFAULT_SETTINGS } from "../core/conf/directives.ts";
import { parseConf } from "../core/conf/parse.ts";
import { TwineError, type Problem } from "../core/errors.ts";
import { CONF_BYTES_MAX, readSmallFile } from "../ports/small-file.ts";
import {
  addressProblem,
  optionProblems,
  refuseProblems,
  shown,
  TWINE_RULES,
} from "./client-options.ts";
import { errorText } from "../core/error-text.ts";

/** Settings in which a program may differ from its twine.conf. */
export type ClientSettings = Pick<
  Settings,
  "readFrom" | "holdForMs" | "holdBytes" | "retryUnknown" | "ackReplicas" | "ackTimeoutMs"
>;

/** "host:port", or an object, which may have the status node's db. */
export type StatusNodeAddress =
  string | { readonly host: string; readonly port: number; readonly db?: number };

/** Exactly one of `conf`, `confText` and `statusNodes`. */
export interface ConfSource {
  /** Path of twine.conf. */
  readonly conf?: string;
  /** The text of a twine.conf. Relative paths in it start at the working directory. */
  readonly confText?: string;
  readonly statusNodes?: readonly StatusNodeAddress[];
  /** With `statusNodes`: the cluster's name. @default "twine" */
  readonly cluster?: string;
}

const NAMELESS = "twine.conf";

/** The config from the options. Throws all problems of the options together (CLIENT_OPTION_BAD, CLIENT_CONF_MISSING,
    STATUS_ADDRESS_BAD), CONF_UNREADABLE, all problems of the file, or CONF_ACK_REPLICAS. With `statusNodes` it still has
    the default hashing: see withHashing. */
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

/** The problem if some partition has fewer replicas than ackReplicas; `partitions` has the partition of each data node. */
export function ackProblems(ackReplicas: number, partitions: readonly number[]): Problem[] {
  return [ackReplicasProblem("option ackReplicas", ackReplicas, partitions) ?? []].flat();
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
  const { config } = completeConfig(parsed.config);
  requireTwinesMonitors(config, "TwineClient", `connect to ${proxyCommand(config)} instead`);
  return config;
}

function readText(file: string): string {
  try {
    return readSmallFile(file, CONF_BYTES_MAX).text;
  } catch (cause) {
    const why = errorText(cause);
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

/** Splits "host:port". addressProblem checks the result. */
function placeOf(address: string): Exclude<StatusNodeAddress, string> {
  const found = /^(.+):(\d{1,5})$/.exec(address);
  return { host: found?.[1] ?? address, port: Number(found?.[2] ?? Number.NaN) };
}
