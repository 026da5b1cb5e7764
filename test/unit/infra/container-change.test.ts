// What a container takes while it runs, and what it has to be replaced for.
import { describe, expect, test } from "vitest";
import { containerChange } from "../../../infra/plan/container-change.ts";
import { confChange } from "../../../infra/plan/setting-changes.ts";

const A1 = { kind: "data", name: "a1" } as const;
const M1 = { kind: "monitor", name: "m1" } as const;
const R1 = { kind: "router", name: "r1" } as const;
const CONF = [
  "a1=data 0 db1 6666 0",
  "a2=data 0 db2 6667 0",
  "s1=status db1 6401 0",
  "m1=monitor db1 7601",
  "r1=router db1 6400",
].join("\n");

function files(texts: Readonly<Record<string, string>>): Map<string, string> {
  return new Map(Object.entries(texts));
}

function confs(more: (text: string) => string): [Map<string, string>, Map<string, string>] {
  return [files({ "twine.conf": CONF }), files({ "twine.conf": more(CONF) })];
}

describe("confChange", () => {
  test("tells what is set, with the sum of what adds up, and what is not set any more", () => {
    const before = "maxmemory 1gb\nsave 60 1\nloglevel notice\n# a comment\n";
    const now = 'save 60 1\nsave 300 10\nloglevel notice\nnotify-keyspace-events "Kx"\n';
    expect(confChange(before, now)).toEqual({
      settings: [
        { name: "maxmemory", value: undefined },
        { name: "notify-keyspace-events", value: "Kx" },
        { name: "save", value: "60 1 300 10" },
      ],
      atStart: [],
    });
  });

  test("tells what Redis takes at its start alone, and never sets what Twine keeps", () => {
    const { atStart, settings } = confChange(
      "port 1\nmasterauth a\nTCP-Backlog 511\n",
      "port 2\nmasterauth b\ntcp-backlog 100\n",
    );
    expect(atStart).toEqual(["port", "tcp-backlog"]);
    expect(settings).toEqual([{ name: "masterauth", value: "b" }]);
  });

  test("an empty save is a value", () => {
    expect(confChange("save 60 1\n", 'save ""\n').settings).toEqual([{ name: "save", value: "" }]);
  });
});

describe("containerChange", () => {
  test("the same files are no change", () => {
    const same = files({ "redis.conf": "maxmemory 1gb\n" });
    expect(containerChange(A1, same, new Map(same))).toEqual({ kind: "none" });
  });

  test("Sentinel and twemproxy take nothing while they run", () => {
    for (const [one, file] of [
      [{ ...M1, stack: "sentinel" } as const, "health.sh"],
      [{ ...R1, stack: "twemproxy" } as const, "password"],
    ] as const) {
      const change = containerChange(one, files({ [file]: "1" }), files({ [file]: "2" }));
      expect(change).toEqual({ kind: "replaced", why: file });
    }
  });

  test("a data node takes settings, its peers and the status nodes", () => {
    const before = files({ "redis.conf": "hz 10\n", "health.sh": "1", "status-nodes": "a 1 0\n" });
    const now = files({ "redis.conf": "hz 20\n", "health.sh": "2", "status-nodes": "b 1 0\n" });
    expect(containerChange(A1, before, now)).toEqual({
      kind: "running",
      files: ["health.sh", "redis.conf", "status-nodes"],
    });
  });

  test("its entrypoint runs, and some directives are taken at the start: replaced, and why", () => {
    const changed = (name: string, was: string, is: string): unknown =>
      containerChange(A1, files({ [name]: was }), files({ [name]: is }));
    expect(changed("entrypoint.sh", "1", "2")).toEqual({ kind: "replaced", why: "entrypoint.sh" });
    expect(changed("redis.conf", "tcp-backlog 1\n", "tcp-backlog 2\n")).toEqual({
      kind: "replaced",
      why: "redis.conf: tcp-backlog",
    });
    expect(containerChange(A1, files({}), files({ "users.acl": "" }))).toEqual({
      kind: "replaced",
      why: "users.acl is new",
    });
  });

  test("monitors and routers take nodes, directives and settings of a changed twine.conf", () => {
    const [before, now] = confs(
      (text) =>
        `${text}\na3=data 0 db3 6668 0\nr2=router db2 6400\nredis maxmemory 1gb\nhold-for 5s`,
    );
    for (const service of [M1, R1]) {
      expect(containerChange(service, before, now)).toEqual({
        kind: "running",
        files: ["twine.conf"],
      });
    }
  });

  test("what they read at their start replaces them: their own line, the status nodes, workers", () => {
    const whys = (more: (text: string) => string): string[] =>
      [M1, R1].map((service) => {
        const change = containerChange(service, ...confs(more));
        return change.kind === "replaced" ? change.why : change.kind;
      });
    expect(whys((text) => text.replace("7601", "7602"))).toEqual([
      "twine.conf: its own line",
      "running",
    ]);
    expect(whys((text) => text.replace("db1 6400", "db1 6500"))).toEqual([
      "running",
      "twine.conf: its own line",
    ]);
    expect(whys((text) => `${text}\ns2=status db2 6401 0`)).toEqual([
      "twine.conf: the status nodes",
      "twine.conf: the status nodes",
    ]);
    expect(whys((text) => `${text}\nworkers 2`)).toEqual(["running", "twine.conf: workers"]);
  });

  test("a router takes a changed certificate and users file; another hash is a new container", () => {
    const before = files({ "tls-cert.pem": "1", "router-users": "1" });
    const now = files({ "tls-cert.pem": "2", "router-users": "2" });
    expect(containerChange(R1, before, now)).toMatchObject({ kind: "running" });
    const hash = containerChange(R1, files({ "my-hash.mjs": "1" }), files({ "my-hash.mjs": "2" }));
    expect(hash).toEqual({ kind: "replaced", why: "my-hash.mjs" });
  });

  test("a file that is no twine.conf is replaced and not guessed at", () => {
    const change = containerChange(
      M1,
      files({ "twine.conf": "nonsense" }),
      files({ "twine.conf": CONF }),
    );
    expect(change).toEqual({ kind: "replaced", why: "twine.conf: it can't be compared" });
  });
});
