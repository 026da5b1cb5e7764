// answers.ts: a monitor's answers as a sentinel: SENTINEL and its subcommands, INFO, ROLE. Pure.
//
// The answers of a monitor without a confirmed view follow from how clients react (ioredis, redis-py, node-redis, go-redis
// and Jedis all try the next sentinel after an error, except in cases 1 and 2):
// 1. No confirmed view: get-master-addr-by-name and master return an error with the reason. If node-redis were given a
//    master that is down, it would ask the same sentinel again and again.
// 2. `masters` lists every master, unconfirmed ones as s_down. redis-py uses this command: it tries the next sentinel when
//    a master is down, but would stop at an error.
// 3. A partition without a master: get-master-addr-by-name returns the last master's address until another one serves, as
//    Sentinel does; `master` shows it as o_down. ioredis treats nil as no answer and asks again without end; with
//    `failoverDetector` a +switch-master during that stops it for good: 20 of 36 clients after nil, 5 after an address. The
//    last master is dead and refuses connections, or has stepped down and reports that.
// 4. A last master that may hang, a partition that never had a master, or no router alive: nil. A client that connects to a
//    hanging master would hang too; a client that asks again finds the next master.
import type { RespValue } from "../../resp/value.ts";
import { ageMs, factKeys } from "./ages.ts";
import { wordOf } from "./commands.ts";
import type { Picture, PicturedMaster } from "./picture.ts";
import {
  bulkText,
  masterMap,
  otherSentinels,
  replicaMap,
  sentinelMap,
  type StateSource,
} from "./state-maps.ts";

/** The version of Sentinel whose answers are copied; clients get it from HELLO and INFO. */
export const SENTINEL_VERSION = "7.0.15";

export interface AnswerSource extends StateSource {
  readonly port: number;
  readonly clients: number;
  readonly uptimeMs: number;
}

/** Answers SENTINEL SUBCOMMAND ...; refusalOf must have checked its name and number of words. */
export function answerSentinel(source: AnswerSource, args: readonly Buffer[]): RespValue {
  const { picture } = source;
  const name = args[2]?.toString("latin1") ?? "";
  switch (wordOf(args[1])) {
    case "get-master-addr-by-name":
      return addressAnswer(picture, name);
    case "masters":
      return array(picture.masters.map((master) => masterMap(source, master)));
    case "master":
      return withMaster(picture, name, (master) => doubt(picture) ?? masterMap(source, master));
    case "replicas":
    case "slaves":
      return withMaster(picture, name, (master) =>
        picture.isKnown
          ? array(master.replicas.map((replica) => replicaMap(source, master, replica)))
          : (doubt(picture) ?? array([])),
      );
    case "sentinels":
      return withMaster(picture, name, () =>
        array(otherSentinels(picture).map((sentinel) => sentinelMap(source, sentinel))),
      );
    case "ckquorum":
      return withMaster(picture, name, () => quorumAnswer(picture));
    case "is-master-down-by-addr":
      return downByAddress(picture, args);
    case "myid":
      return bulkText(picture.selfId);
    case "pending-scripts":
      return array([]);
    default:
      return array(HELP.map((text) => ({ type: "simple", text })));
  }
}

/** An error with the reason why this monitor can't confirm a master; undefined when it can. */
function doubt(picture: Picture): RespValue | undefined {
  if (picture.isConfirmed) return undefined;
  const why = picture.isKnown
    ? "no majority of the status nodes confirms the view of this monitor"
    : "this monitor has no view of the cluster yet";
  return { type: "error", text: `ERR twine: ${why}; ask another monitor` };
}

function addressAnswer(picture: Picture, name: string): RespValue {
  const master = picture.masters.find((one) => one.name === name);
  const nil: RespValue = { type: "null", of: "array" };
  if (master === undefined) return nil;
  const refused = doubt(picture);
  if (refused !== undefined) return refused;
  return !master.isNamed ? nil : array([bulkText(master.host), bulkText(master.port)]);
}

function withMaster(
  picture: Picture,
  name: string,
  answer: (master: PicturedMaster) => RespValue,
): RespValue {
  const master = picture.masters.find((one) => one.name === name);
  if (master !== undefined) return answer(master);
  return { type: "error", text: "ERR No such master with that name" };
}

/** A failover needs a majority of the status nodes and, for a node that is silent, a majority of the monitors. */
function quorumAnswer(picture: Picture): RespValue {
  const { usableMonitors, quorum } = picture;
  const usable = `${usableMonitors} usable Sentinels.`;
  if (usableMonitors >= quorum && picture.isConfirmed) {
    return {
      type: "simple",
      text: `OK ${usable} Quorum and failover authorization can be reached`,
    };
  }
  const reasons = [
    ...(usableMonitors >= quorum
      ? []
      : ["Not enough available Sentinels to reach the specified quorum for this master."]),
    ...(picture.isConfirmed ? [] : ["No majority of the status nodes confirms the view."]),
  ];
  return { type: "error", text: `NOQUORUM ${usable} ${reasons.join(" ")}` };
}

/**
 * SENTINEL is-master-down-by-addr IP PORT EPOCH RUNID: [whether it is down, the leader that this one votes for, its epoch].
 * A monitor votes only in the register, so it names no leader (`*`), like a sentinel that was not asked to vote.
 */
function downByAddress(picture: Picture, args: readonly Buffer[]): RespValue {
  const [host = "", port = "", epoch = ""] = args.slice(2, 5).map((arg) => arg.toString("latin1"));
  if (!/^-?\d{1,18}$/.test(port) || !/^-?\d{1,18}$/.test(epoch)) {
    return { type: "error", text: "ERR value is not an integer or out of range" };
  }
  const isDown = picture.masters.some(
    (master) => master.host === host && master.port === Number(port) && master.isObjectivelyDown,
  );
  return array([
    { type: "integer", value: isDown && picture.isConfirmed ? 1n : 0n },
    bulkText("*"),
    { type: "integer", value: 0n },
  ]);
}

/** ROLE: https://redis.io/docs/latest/commands/role/ */
export function roleAnswer(picture: Picture): RespValue {
  return array([bulkText("sentinel"), array(picture.masters.map(({ name }) => bulkText(name)))]);
}

const SECTIONS: Readonly<Record<string, (source: AnswerSource) => readonly string[]>> = {
  server: ({ picture, port, uptimeMs }) => [
    "# Server",
    `redis_version:${SENTINEL_VERSION}`,
    "redis_mode:sentinel",
    `run_id:${picture.selfId}`,
    `tcp_port:${port}`,
    `uptime_in_seconds:${Math.floor(uptimeMs / 1000)}`,
    `uptime_in_days:${Math.floor(uptimeMs / 86_400_000)}`,
  ],
  clients: ({ clients }) => ["# Clients", `connected_clients:${clients}`],
  sentinel: (source) => sentinelSection(source),
};

/** INFO [SECTION ...]: unknown sections are left out, as in Redis. */
export function infoAnswer(source: AnswerSource, args: readonly Buffer[]): RespValue {
  const asked = args.slice(1).map(wordOf);
  const isAll = asked.length === 0 || asked.some((name) => /^(all|default|everything)$/.test(name));
  const texts = Object.entries(SECTIONS)
    .filter(([name]) => isAll || asked.includes(name))
    .map(([, lines]) =>
      lines(source)
        .map((line) => `${line}\r\n`)
        .join(""),
    );
  return bulkText(texts.join("\r\n"));
}

/** Tilt in Sentinel: a time in which it does not trust its own state. Here: the view is not confirmed by a majority. */
function sentinelSection({ picture, ages, nowMs }: AnswerSource): string[] {
  const tiltSeconds = Math.floor(ageMs(ages, factKeys.unconfirmed, nowMs) / 1000);
  const lines = picture.masters.map(
    ({ name, host, port, replicas, ...master }, index) =>
      `master${index}:name=${name},` +
      `status=${master.isObjectivelyDown ? "odown" : master.isSubjectivelyDown ? "sdown" : "ok"},` +
      `address=${host}:${port},slaves=${replicas.length},` +
      `sentinels=${otherSentinels(picture).length + 1}`,
  );
  return [
    "# Sentinel",
    `sentinel_masters:${picture.masters.length}`,
    `sentinel_tilt:${picture.isConfirmed ? 0 : 1}`,
    `sentinel_tilt_since_seconds:${picture.isConfirmed ? -1 : tiltSeconds}`,
    "sentinel_running_scripts:0",
    "sentinel_scripts_queue_length:0",
    "sentinel_simulate_failure_flags:0",
    ...lines,
  ];
}

function array(items: readonly RespValue[]): RespValue {
  return { type: "array", items };
}

const HELP = [
  "SENTINEL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
  "CKQUORUM <master-name>",
  "    Check if a failover of this master could be agreed on now.",
  "GET-MASTER-ADDR-BY-NAME <master-name>",
  "    Return the host and port of the master with that name.",
  "IS-MASTER-DOWN-BY-ADDR <ip> <port> <current-epoch> <runid>",
  "    Check if the master specified by ip:port is down.",
  "MASTER <master-name>",
  "    Show the state and info of the specified master.",
  "MASTERS",
  "    Show the masters twine-p0, twine-p1, ... and the router twine.",
  "MYID",
  "    Return the ID of this monitor.",
  "PENDING-SCRIPTS",
  "    Return an empty list: there are no scripts.",
  "REPLICAS <master-name>",
  "    Show a list of replicas for this master and their state.",
  "SENTINELS <master-name>",
  "    Show a list of the other monitors that speak Sentinel's protocol.",
  "HELP",
  "    Print this help.",
];
