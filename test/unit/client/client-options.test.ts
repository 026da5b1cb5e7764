// client-options.test.ts: what a client refuses in its constructor, before anything is opened.
import { describe, expect, test } from "vitest";
import { RedCluster } from "../../../runtime/client/red/red-cluster.ts";
import { TwineClient } from "../../../runtime/client/twine-client.ts";
import { TwineError } from "../../../runtime/core/errors.ts";

const statusNodes = ["127.0.0.1:1"];

/** As a program in JavaScript makes them. */
const twine = (options?: unknown): unknown => new TwineClient(options as { conf: string });
const red = (...args: unknown[]): unknown =>
  new RedCluster(...(args as ConstructorParameters<typeof RedCluster>));

/** `CODE message` of each problem. */
function problemsOf(make: () => unknown): string[] {
  try {
    make();
  } catch (error) {
    if (!(error instanceof TwineError)) throw error;
    expect(error.problems.filter(({ remedy }) => remedy === undefined)).toEqual([]);
    return error.problems.map(({ code, message }) => `${code} ${message}`);
  }
  return [];
}

describe("TwineClient's constructor", () => {
  test("names every option that is wrong at once, with its value and what it may be", () => {
    const options = {
      ...{ statusNodes, holdForMs: "10s", readFrom: "slave", retryUnknown: "all" },
      ...{ ackTimeoutMs: Number.NaN, ackReplicas: 1.5, holdBytes: -1, holdFor: 5, log: true },
    };
    expect(problemsOf(() => twine(options))).toEqual([
      'CLIENT_OPTION_BAD option holdForMs can\'t be "10s"',
      'CLIENT_OPTION_BAD option readFrom can\'t be "slave"',
      'CLIENT_OPTION_BAD option retryUnknown can\'t be "all"',
      "CLIENT_OPTION_BAD option ackTimeoutMs can't be NaN",
      "CLIENT_OPTION_BAD option ackReplicas can't be 1.5",
      "CLIENT_OPTION_BAD option holdBytes can't be -1",
      "CLIENT_OPTION_BAD there is no option holdFor; did you mean holdForMs?",
      "CLIENT_OPTION_BAD option log can't be true",
    ]);
    expect(() => twine(options)).toThrow('it may be "master" or "replica"');
    expect(problemsOf(() => twine({ statusNodes, holdForMs: -1 }))).toHaveLength(1);
  });

  test("refuses ioredis's options that mean nothing here by name, all at once, each with its reason", () => {
    const refused = {
      ...{ host: "db1", port: 6379, path: "/tmp/redis.sock", family: 4, db: 1 },
      ...{ sentinels: [{ host: "db1", port: 26379 }], name: "mymaster", role: "slave" },
      ...{ socketTimeout: 1000, readOnly: true, monitor: true, Connector: Object },
    };
    const said = problemsOf(() => twine({ statusNodes, ...refused }));
    expect(said.map((text) => text.split(":", 1)[0])).toEqual(
      Object.keys(refused).map((name) => `CLIENT_OPTION_BAD option ${name} is refused`),
    );
    expect(said).toContain(
      "CLIENT_OPTION_BAD option socketTimeout is refused: a blocking command may be silent for as long as it waits",
    );
    expect(problemsOf(() => red([{ master: { host: "db1", port: 1 } }], refused))).toEqual(said);
  });

  test("never shows a password, nor a key of TLS", () => {
    const make = (): unknown => twine({ statusNodes, password: 4711, tls: "4711" });
    expect(problemsOf(make)).toEqual([
      "CLIENT_OPTION_BAD option password can't be a number",
      "CLIENT_OPTION_BAD option tls can't be a string",
    ]);
  });

  test("refuses addresses of status nodes that are none, all at once", () => {
    const wrong = ["db1", "db1:0", "db1:99999", ":1", { host: "db1" }, { port: 1 }, null];
    expect(problemsOf(() => twine({ statusNodes: [...statusNodes, ...wrong] }))).toEqual([
      'STATUS_ADDRESS_BAD "db1" is no address of a status node: its port is NaN',
      'STATUS_ADDRESS_BAD "db1:0" is no address of a status node: its port is 0',
      'STATUS_ADDRESS_BAD "db1:99999" is no address of a status node: its port is 99999',
      'STATUS_ADDRESS_BAD ":1" is no address of a status node: its port is NaN',
      'STATUS_ADDRESS_BAD {"host":"db1"} is no address of a status node: its port is missing',
      'STATUS_ADDRESS_BAD {"port":1} is no address of a status node: its host is missing',
      "STATUS_ADDRESS_BAD null is no address of a status node: it is null",
    ]);
  });

  test("refuses no options, no way to the cluster, several ways, and a way of the wrong kind", () => {
    const untold = "CLIENT_CONF_MISSING the client was not told of its cluster";
    expect(problemsOf(() => twine())).toEqual([
      "CLIENT_OPTION_BAD the options are missing",
      untold,
    ]);
    expect(problemsOf(() => twine({}))).toEqual([untold]);
    expect(problemsOf(() => twine({ conf: "twine.conf", statusNodes }))).toEqual([
      "CLIENT_CONF_MISSING the client was told of its cluster in several ways",
    ]);
    expect(problemsOf(() => twine({ conf: new URL("file:///twine.conf") }))).toEqual([
      "CLIENT_OPTION_BAD option conf can't be the URL file:///twine.conf",
    ]);
    expect(problemsOf(() => twine({ statusNodes: "db1:6399" }))).toEqual([
      'CLIENT_OPTION_BAD option statusNodes can\'t be "db1:6399"',
    ]);
    expect(problemsOf(() => twine({ statusNodes: [] }))).toEqual([
      "CLIENT_OPTION_BAD option statusNodes can't be []",
    ]);
  });

  test("refuses ackReplicas that no partition of its twine.conf can give", () => {
    const confText = "a=data 0 localhost 1 0\nb=data 0 localhost 2 0\nc=data 1 localhost 3 0\n";
    expect(problemsOf(() => twine({ confText, ackReplicas: 1 }))).toEqual([
      "CONF_ACK_REPLICAS option ackReplicas 1 needs more replicas than partition 1 has (as few as 0)",
    ]);
  });
});

describe("RedCluster's constructor", () => {
  test("refuses options and replica sets that are none, all at once", () => {
    const master = { host: "localhost", port: 1 };
    expect(problemsOf(() => red([{ master }], { readFrom: "slave", downAfterMs: "1s" }))).toEqual([
      'CLIENT_OPTION_BAD option readFrom can\'t be "slave"',
      'CLIENT_OPTION_BAD option downAfterMs can\'t be "1s"',
    ]);
    expect(problemsOf(() => red())).toEqual(["RED_SETS_BAD the replica sets are missing"]);
    expect(problemsOf(() => red([]))).toEqual(["RED_SETS_BAD there is no replica set"]);
    expect(
      problemsOf(() =>
        red([
          {},
          { master: { host: "db1" } },
          { master, replicas: [{ port: 2 }, master] },
          { master, replicas: "db1:3" },
        ]),
      ),
    ).toEqual([
      "RED_SETS_BAD the master of replica set 0 is no address of a node: it is missing",
      "RED_SETS_BAD the master of replica set 1 is no address of a node: its port is missing",
      "RED_SETS_BAD replica 1 of replica set 2 is no address of a node: its host is missing",
      "RED_SETS_BAD 127.0.0.1:1 is in replica set 2 and again in 2",
      'RED_SETS_BAD the replicas of replica set 3 are "db1:3"',
    ]);
  });
});
