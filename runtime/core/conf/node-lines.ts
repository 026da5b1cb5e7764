// node-lines.ts: parses `name=kind ...`. Pure.
//
//   NAME=data PARTITION [HOST] PORT [DB]      NAME=monitor [HOST] PORT [SENTINEL-PORT]
//   NAME=status [HOST] PORT [DB]              NAME=router [HOST] PORT [STATS-PORT]
//
// HOST can be omitted without ambiguity: a host's name never consists only of digits, a port always does.
import type { ClusterNode, NodeKind } from "../cluster.ts";
import { placeOf, readNumber, reject, type Reading } from "./complain.ts";
import { readLine, type Line, type Word } from "./lines.ts";
import { didYouMean, suggest } from "./suggest.ts";

export const NODE_SHAPES: Readonly<Record<NodeKind, string>> = Object.freeze({
  data: "NAME=data PARTITION [HOST] PORT [DB]",
  status: "NAME=status [HOST] PORT [DB]",
  monitor: "NAME=monitor [HOST] PORT [SENTINEL-PORT]",
  router: "NAME=router [HOST] PORT [STATS-PORT]",
});
const KINDS = Object.keys(NODE_SHAPES) as NodeKind[];

/** Folders that Twine creates beside the nodes' folders, in partitions/HOST. */
const RESERVED_NAMES: readonly string[] = ["appendonly", "monit", "systemd"];

export const PARTITION_MAX = 65_535;
const DB_MAX = 65_535;

/** A node line, split into its parts. */
export interface NodeHead {
  readonly line: Line;
  readonly name: Word;
  readonly kind: Word | undefined;
  readonly args: readonly Word[];
}

/**
 * The parts of a node line, or undefined if the line is a directive. White space around the `=` is allowed, but `NAME =`
 * with a directive's name is that directive.
 */
export function nodeHeadOf(
  line: Line,
  isDirective: (name: string) => boolean,
): NodeHead | undefined {
  const [first, second] = line.words;
  if (first === undefined) return undefined;
  const isJoined = line.text.slice(first.start, first.end).includes("=");
  const isSpaced = second?.text.startsWith("=") === true && !isDirective(first.text);
  if (!isJoined && !isSpaced) return undefined;
  const equals = line.text.indexOf("=", first.start);
  // Words of a node line can't contain a #, so a comment needs no space before it here.
  const comment = line.text.indexOf("#", equals);
  const end = comment === -1 ? line.text.length : comment;
  const left = readLine(line.text.slice(0, equals), line.number).words[0];
  const right = readLine(
    `${" ".repeat(equals + 1)}${line.text.slice(equals + 1, end)}`,
    line.number,
  );
  const name = left ?? { text: "", start: first.start, end: first.start };
  const [kind, ...args] = right.words;
  return { line: { ...line, words: [name, ...right.words] }, name, kind, args };
}

/** The words with the numbers of a node line. The last two words are `port` and `extra` (db, second port). */
export interface NodeWords {
  readonly partition?: Word | undefined;
  readonly port?: Word | undefined;
  readonly extra?: Word | undefined;
}

/** The readable parts of a node line: an invalid line still claims its name and partition. */
export interface NodeReading {
  readonly name: Word;
  readonly kind: NodeKind | null;
  readonly partition: number | null;
  readonly node: ClusterNode | null;
  readonly words: NodeWords;
}

/** Parses a node line. Errors go to `reading.complain`. */
export function readNode(
  reading: Reading,
  head: NodeHead,
  directives: readonly string[],
): NodeReading {
  const kind = readKind(reading, head, directives);
  const isNamed = checkName(reading, head.name, kind);
  if (kind === null) return { name: head.name, kind, partition: null, node: null, words: {} };
  const [partitionWord, ...rest] = head.args;
  const partition =
    kind === "data" && partitionWord !== undefined
      ? readNumber(reading, partitionWord, {
          what: "the partition",
          min: 0,
          max: PARTITION_MAX,
          remedy: `write ${NODE_SHAPES.data}; partitions count from 0`,
        })
      : null;
  const place = readPlace(reading, kind, kind === "data" ? rest : head.args);
  const words = { partition: partitionWord, port: place?.portWord, extra: place?.extraWord };
  const said = { name: head.name, kind, partition, words };
  if (!isNamed || place === null) return { ...said, node: null };
  const base = { name: head.name.text, host: place.host, port: place.port };
  const at = placeOf(reading, head.name);
  switch (kind) {
    case "data":
      if (partition === null) return { ...said, node: null };
      return { ...said, node: { kind, ...base, partition, db: place.extra ?? 0, at } };
    case "status":
      return { ...said, node: { kind, ...base, db: place.extra ?? 0, at } };
    case "monitor": {
      const sentinel = place.extra === undefined ? {} : { sentinelPort: place.extra };
      return { ...said, node: { kind, ...base, ...sentinel, at } };
    }
    case "router": {
      const stats = place.extra === undefined ? {} : { statsPort: place.extra };
      return { ...said, node: { kind, ...base, ...stats, at } };
    }
  }
}

function checkName(reading: Reading, name: Word, kind: NodeKind | null): boolean {
  const { text } = name;
  if (kind !== null && RESERVED_NAMES.includes(text)) {
    const message = `a node can't be named ${text}: Twine uses a folder of that name`;
    reject(reading, name, "CONF_BAD_NAME", message, "give the node another name");
    return false;
  }
  // The folder of a node has its name. Dots alone would be the parent folder; a longer name can't be a folder.
  if (/^[A-Za-z0-9._-]{1,100}$/.test(text) && !/^\.+$/.test(text)) return true;
  const message = text === "" ? "a node without a name" : `'${text.slice(0, 120)}' is no node name`;
  const remedy = "use 1 to 100 letters, digits, dots, underscores and hyphens, not dots alone";
  reject(reading, name, "CONF_BAD_NAME", message, remedy);
  return false;
}

function readKind(
  reading: Reading,
  head: NodeHead,
  directives: readonly string[],
): NodeKind | null {
  const { name, kind } = head;
  const found = KINDS.find((known) => known === kind?.text);
  if (found !== undefined) return found;
  const values = [kind, ...head.args].flatMap((word) => word?.text ?? []).join(" ");
  const directive = directives.find((known) => known === name.text.toLowerCase());
  if (name.text.toLowerCase() === "appendonly") {
    const message = "appendonly is a setting of Redis, not a node";
    return reject(reading, name, "CONF_UNKNOWN_KIND", message, `write redis appendonly ${values}`);
  }
  if (directive !== undefined && suggest(kind?.text ?? "", KINDS) === undefined) {
    const message = `${directive} is a directive, and directives take no =`;
    return reject(reading, name, "CONF_UNKNOWN_KIND", message, `write ${directive} ${values}`);
  }
  const message =
    kind === undefined
      ? `node ${name.text} has no kind`
      : `unknown kind '${kind.text}'${didYouMean(kind.text, KINDS)}`;
  const remedy = `write one of ${KINDS.join(", ")} after the =`;
  return reject(reading, kind, "CONF_UNKNOWN_KIND", message, remedy);
}

const DB_LIMITS = { what: "the db", min: 0, max: DB_MAX };

/** The limits of the number after the port. */
const EXTRA_LIMITS = Object.freeze({
  data: DB_LIMITS,
  status: DB_LIMITS,
  monitor: { what: "the port for Sentinel's protocol", min: 1, max: 65_535 },
  router: { what: "the port for statistics", min: 1, max: 65_535 },
});

interface Place {
  readonly host: string;
  readonly port: number;
  /** The number after the port: the db, or the second port of a monitor or a router. */
  readonly extra: number | undefined;
  readonly portWord: Word | undefined;
  readonly extraWord: Word | undefined;
}

/** Parses `[HOST] PORT [NUMBER]`. */
function readPlace(reading: Reading, kind: NodeKind, args: readonly Word[]): Place | null {
  const remedy = `write ${NODE_SHAPES[kind]}`;
  const most = 3;
  if (args.length === 0 || args.length > most) {
    const before = kind === "data" ? 1 : 0;
    const given = Math.max(0, reading.line.words.length - 2);
    const message =
      `a ${kind} line takes ${1 + before} to ${most + before} words after its kind, ` +
      `this one has ${given}`;
    return reject(reading, args[most], "CONF_WORD_COUNT", message, remedy);
  }
  const isHostLeftOut = args.length === 1 || (args.length === 2 && isPortFirst(args));
  const [hostWord, portWord, extraWord] = isHostLeftOut ? [undefined, ...args] : args;
  const host = hostWord === undefined ? "localhost" : readHost(reading, hostWord, remedy);
  const port = readNumber(reading, portWord, { what: "the port", min: 1, max: 65_535, remedy });
  let extra: number | null | undefined;
  if (extraWord !== undefined) {
    extra = readNumber(reading, extraWord, { ...EXTRA_LIMITS[kind], remedy });
  }
  if (host === null || port === null || extra === null) return null;
  return { host, port, extra, portWord, extraWord };
}

function isPortFirst(args: readonly Word[]): boolean {
  return /^[+-]?\d+$/.test(args[0]?.text ?? "");
}

/** A host name, an IPv4 address or an IPv6 address (with or without brackets). Null after an error. */
function readHost(reading: Reading, word: Word, remedy: string): string | null {
  const text = word.text.replace(/^\[(.*)\]$/, "$1");
  const isAddress6 = /^[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*$/.test(text);
  const isName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$/.test(text) && !/^\d+$/.test(text);
  if (isAddress6 || isName) return text;
  const message = `'${word.text.slice(0, 120)}' is no host`;
  const hint = "a host is a name (letters, digits, dots, hyphens) or an address, without a port";
  return reject(reading, word, "CONF_BAD_HOST", message, `${remedy}; ${hint}`);
}
