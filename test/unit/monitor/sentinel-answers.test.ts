// What a monitor says as a sentinel, from views that are written down here.
import { describe, expect, test } from "vitest";
import {
  answerSentinel,
  infoAnswer,
  roleAnswer,
} from "../../../runtime/monitor/sentinel/answers.ts";
import { COMMANDS, commandAnswer, refusalOf } from "../../../runtime/monitor/sentinel/commands.ts";
import type { Picture } from "../../../runtime/monitor/sentinel/picture.ts";
import type { RespValue } from "../../../runtime/resp/value.ts";
import { pictureAt, sourceOf, viewOf } from "./sentinel-views.ts";

function words(command: string): Buffer[] {
  return command.split(" ").map((word) => Buffer.from(word));
}

/** A reply as plain values; maps as objects, errors as "-text". */
function plain(value: RespValue): unknown {
  switch (value.type) {
    case "bulk":
      return value.bytes.toString();
    case "simple":
      return value.text;
    case "error":
      return `-${value.text}`;
    case "integer":
      return Number(value.value);
    case "null":
      return null;
    case "array":
    case "set":
      return value.items.map(plain);
    case "map":
      return Object.fromEntries(value.entries.map(([key, of]) => [plain(key), plain(of)]));
    default:
      return value;
  }
}

function ask(picture: Picture, command: string): unknown {
  return plain(answerSentinel(sourceOf(picture), words(`SENTINEL ${command}`)));
}

const WELL = pictureAt(viewOf());
const HALT = pictureAt(viewOf({ masters: [null, "b1"], roles: { a1: "dead", m2: "dead" } }));
const UNKNOWN = pictureAt(undefined);
const DOUBTED = pictureAt(viewOf(), false);

describe("get-master-addr-by-name", () => {
  test("names the master of a partition and the first router that is up", () => {
    expect(ask(WELL, "get-master-addr-by-name twine-p0")).toEqual(["127.0.0.1", "7001"]);
    expect(ask(WELL, "GET-MASTER-ADDR-BY-NAME twine-p1")).toEqual(["db1", "7001"]);
    expect(ask(WELL, "get-master-addr-by-name twine")).toEqual(["127.0.0.1", "7401"]);
    const oneRouter = pictureAt(viewOf({ roles: { r1: "dead" } }));
    expect(ask(oneRouter, "get-master-addr-by-name twine")).toEqual(["127.0.0.1", "7402"]);
  });

  test("answers the last master's address until another one serves, as Sentinel does", () => {
    expect(ask(HALT, "get-master-addr-by-name twine-p0")).toEqual(["127.0.0.1", "7001"]);
    expect(ask(HALT, "get-master-addr-by-name twine-p1")).toEqual(["db1", "7001"]);
  });

  test("sends nobody to a last master that may hang", () => {
    const failing = (isKnownDead: boolean): Picture => {
      const view = viewOf({ masters: [null, "b1"] });
      const failover = { from: "a1", isKnownDead, replicas: [] };
      const partitions = view.partitions.map((partition) =>
        partition.index === 0 ? { ...partition, failover } : partition,
      );
      return pictureAt({ ...view, partitions });
    };
    expect(ask(failing(false), "get-master-addr-by-name twine-p0")).toBeNull();
    expect(ask(failing(true), "get-master-addr-by-name twine-p0")).toEqual(["127.0.0.1", "7001"]);
  });

  test("answers nil for an unknown name, a partition that never had a master and routers that are all dead", () => {
    expect(ask(WELL, "get-master-addr-by-name mymaster")).toBeNull();
    const never = viewOf({ masters: [null, "b1"] });
    const partitions = never.partitions.map((partition) => ({ ...partition, lastMaster: null }));
    const first = pictureAt({ ...never, partitions });
    expect(ask(first, "get-master-addr-by-name twine-p0")).toBeNull();
    const noRouter = pictureAt(viewOf({ roles: { r1: "dead", r2: "dead" } }));
    expect(ask(noRouter, "get-master-addr-by-name twine")).toBeNull();
  });

  test("is refused with the reason before the first view and when nobody confirms the view", () => {
    const name = "get-master-addr-by-name twine-p0";
    expect(ask(UNKNOWN, name)).toMatch(/^-ERR twine: this monitor has no view .*ask another/);
    expect(ask(DOUBTED, name)).toMatch(/^-ERR twine: no majority of the status nodes confirms/);
  });
});

describe("the state of masters", () => {
  test("a master that is well says so, with the monitors and replicas around it", () => {
    expect(ask(WELL, "master twine-p0")).toMatchObject({
      name: "twine-p0",
      ip: "127.0.0.1",
      port: "7001",
      runid: "run-a1",
      flags: "master",
      "role-reported-time": "5000",
      "config-epoch": "4",
      "num-slaves": "2",
      "num-other-sentinels": "2",
      quorum: "2",
      "twine-node": "a1",
      "twine-db": "0",
    });
  });

  test("masters lists the partitions and then the router", () => {
    const names = (ask(WELL, "masters") as { name: string }[]).map(({ name }) => name);
    expect(names).toEqual(["twine-p0", "twine-p1", "twine"]);
  });

  test("a partition in HALT shows its last master as down, with since when", () => {
    expect(ask(HALT, "master twine-p0")).toMatchObject({
      port: "7001",
      flags: "s_down,o_down,master,disconnected",
      "s-down-time": "5000",
      "o-down-time": "5000",
      "last-ping-sent": "5000",
    });
  });

  test("without a confirmed view every master is listed as s_down and none is shown alone", () => {
    for (const picture of [UNKNOWN, DOUBTED]) {
      const flags = (ask(picture, "masters") as { flags: string }[]).map((master) => master.flags);
      expect(flags).toEqual(Array(3).fill("s_down,master,disconnected"));
      expect(ask(picture, "master twine-p0")).toMatch(/^-ERR twine/);
    }
  });

  test("an unknown name is Sentinel's own error", () => {
    for (const sub of ["master", "replicas", "slaves", "sentinels", "ckquorum"]) {
      expect(ask(WELL, `${sub} nope`)).toBe("-ERR No such master with that name");
    }
  });
});

describe("replicas", () => {
  test("dead ones and those not in sync carry the flags by which clients leave them out", () => {
    const picture = pictureAt(viewOf({ roles: { a2: "syncing", a3: "dead" } }));
    expect(ask(picture, "replicas twine-p0")).toMatchObject([
      { name: "127.0.0.1:7002", flags: "slave,disconnected", "master-link-status": "err" },
      { name: "127.0.0.1:7003", flags: "s_down,slave,disconnected", "s-down-time": "5000" },
    ]);
  });

  test("one in sync tells its master and its recorded offset, under both names of the command", () => {
    for (const sub of ["replicas", "slaves"]) {
      expect(ask(WELL, `${sub} twine-p0`)).toMatchObject([
        { flags: "slave", "master-port": "7001", "slave-repl-offset": "77", "twine-node": "a2" },
        { flags: "slave", "master-link-status": "ok", "slave-repl-offset": "0" },
      ]);
    }
  });

  test("they are still named from a view that nobody confirms, for reads go on, but not without a view", () => {
    expect(ask(DOUBTED, "replicas twine-p1")).toMatchObject([{ ip: "db2", flags: "slave" }]);
    expect(ask(UNKNOWN, "replicas twine-p1")).toMatch(/^-ERR twine: this monitor has no view/);
  });

  test("a router has none: another router calls itself a master too", () => {
    expect(ask(WELL, "replicas twine")).toEqual([]);
  });
});

describe("the other sentinels", () => {
  test("are the other monitors with a Sentinel port, a dead one flagged", () => {
    expect(ask(HALT, "sentinels twine-p0")).toMatchObject([
      { ip: "127.0.0.1", port: "7302", flags: "s_down,sentinel,disconnected" },
      { ip: "127.0.0.1", port: "7303", flags: "sentinel" },
    ]);
  });

  test("every monitor has an id of 40 digits that the others name it by", () => {
    const [second] = ask(WELL, "sentinels twine") as { name: string; runid: string }[];
    expect(second?.runid).toMatch(/^[0-9a-f]{40}$/);
    expect(ask({ ...WELL, selfId: second?.runid ?? "" }, "myid")).toBe(second?.runid);
    expect(ask(WELL, "myid")).not.toBe(second?.runid);
  });

  test("ckquorum counts monitors that are up, and wants a view that is confirmed", () => {
    expect(ask(HALT, "ckquorum twine-p0")).toMatch(/^OK 2 usable Sentinels\. /);
    const alone = pictureAt(viewOf({ roles: { m2: "dead", m3: "dead" } }));
    expect(ask(alone, "ckquorum twine-p0")).toMatch(/^-NOQUORUM 1 usable Sentinels\. Not enough/);
    expect(ask(DOUBTED, "ckquorum twine-p0")).toMatch(/^-NOQUORUM 3 usable .*status nodes/);
  });

  test("is-master-down-by-addr tells of a partition in HALT and votes for nobody", () => {
    expect(ask(HALT, "is-master-down-by-addr 127.0.0.1 7001 0 *")).toEqual([1, "*", 0]);
    expect(ask(WELL, "is-master-down-by-addr 127.0.0.1 7001 9 abc")).toEqual([0, "*", 0]);
    expect(ask(WELL, "is-master-down-by-addr 127.0.0.1 x 0 *")).toMatch(/^-ERR value is not/);
  });
});

test("INFO tells the masters' states by section, and a doubtful view as tilt", () => {
  const info = (picture: Picture, section: string): unknown =>
    plain(infoAnswer(sourceOf(picture), words(`INFO${section}`)));
  expect(info(HALT, " sentinel")).toBe(
    [
      "# Sentinel",
      "sentinel_masters:3",
      "sentinel_tilt:0",
      "sentinel_tilt_since_seconds:-1",
      "sentinel_running_scripts:0",
      "sentinel_scripts_queue_length:0",
      "sentinel_simulate_failure_flags:0",
      "master0:name=twine-p0,status=odown,address=127.0.0.1:7001,slaves=2,sentinels=3",
      "master1:name=twine-p1,status=ok,address=db1:7001,slaves=1,sentinels=3",
      "master2:name=twine,status=ok,address=127.0.0.1:7401,slaves=0,sentinels=3",
      "",
    ].join("\r\n"),
  );
  expect(info(DOUBTED, "")).toContain("sentinel_tilt:1\r\nsentinel_tilt_since_seconds:5\r\n");
  expect(info(DOUBTED, "")).toContain("redis_mode:sentinel\r\n");
  expect(info(WELL, " replication")).toBe("");
});

test("ROLE names the masters", () => {
  expect(plain(roleAnswer(WELL))).toEqual(["sentinel", ["twine-p0", "twine-p1", "twine"]]);
});

describe("commands that are not answered", () => {
  const refused = (command: string, isSubscribed = false): string =>
    refusalOf(words(command), isSubscribed)?.toString() ?? "";

  test("are refused by name, with Redis's words where clients look for them", () => {
    expect(refused("GET a")).toMatch(/^-ERR unknown command 'GET', .*speaks Sentinel's protocol/);
    expect(refused("SENTINEL failover twine-p0")).toMatch(/'sentinel failover' .*twine-failover/);
    expect(refused("SENTINEL set a b c")).toMatch(/'sentinel set' .*twine\.conf/);
    expect(refused("SENTINEL nope")).toMatch(/^-ERR unknown subcommand 'nope'/);
    expect(refused("SENTINEL")).toMatch(/^-ERR wrong number of arguments for 'sentinel' command/);
    expect(refused("SENTINEL master")).toMatch(/for 'sentinel\|master' command/);
    expect(refused("CLIENT kill id 3")).toMatch(/'client kill' is not supported/);
    expect(refused("SHUTDOWN")).toMatch(/'shutdown' is not supported: stop a monitor/);
  });

  test("in RESP2 a subscriber is told what it may say", () => {
    expect(refused("SENTINEL masters", true)).toMatch(/^-ERR Can't execute 'sentinel\|masters'/);
    expect(refused("PING", true)).toBe("");
  });

  test("COMMAND describes exactly those that are answered", () => {
    const count = Object.keys(COMMANDS).length;
    expect(plain(commandAnswer(words("COMMAND count")))).toBe(count);
    expect(plain(commandAnswer(words("COMMAND")))).toHaveLength(count);
    expect(plain(commandAnswer(words("COMMAND info ping get")))).toEqual([
      ["ping", -1, ["fast"], 0, 0, 0, [], [], [], []],
      null,
    ]);
    expect(plain(commandAnswer(words("COMMAND getkeys a")))).toMatch(/^-ERR unknown subcommand/);
  });
});
