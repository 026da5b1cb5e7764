// plan-cluster.test.ts: what the plan promises beyond the golden cases.
import { describe, expect, test } from "vitest";
import { planCluster } from "../../../infra/plan/plan-cluster.ts";
import type { Plan, PlanOptions, PlannedFile } from "../../../infra/plan/plan.ts";
import { configOf } from "../../golden/render-cases.ts";

const OPTIONS: PlanOptions = { confPath: "/srv/twine.conf", hasPassword: false };
const STATUS_AND_MONITOR = "s1=status db1 6401 0\nm1=monitor db1 7601\n";

function plan(text: string, options: Partial<PlanOptions> = {}): Plan {
  return planCluster(configOf(text), { ...OPTIONS, ...options });
}

function fileOf(planned: Plan, path: string): PlannedFile {
  const found = planned.hosts.flatMap((host) => host.files).find((file) => file.path === path);
  if (found === undefined) throw new Error(`no ${path} in the plan`);
  return found;
}

describe("where a node listens", () => {
  const conf = `a1=data 0 db1 6666 0\n${STATUS_AND_MONITOR}`;
  const bindOf = (planned: Plan): unknown => planned.hosts[0]?.services[0]?.bind;

  test("without a password it is 127.0.0.1 alone", () => {
    expect(bindOf(plan(conf))).toEqual(["127.0.0.1"]);
  });

  test("with a password it is the host's address too", () => {
    expect(bindOf(plan(conf, { hasPassword: true }))).toEqual(["db1", "127.0.0.1"]);
  });

  test("a host on another loopback address listens there alone, so that hosts can share ports", () => {
    const loopback = conf.replaceAll("db1", "127.0.0.2");
    expect(bindOf(plan(loopback))).toEqual(["127.0.0.2"]);
    expect(bindOf(plan(conf, { hasPassword: true, loopbackHosts: ["db1"] }))).toEqual(["db1"]);
  });

  test("several hosts without a password get a warning that names them and the remedy", () => {
    const [warning] = plan(
      `a1=data 0 db1 6666 0\na2=data 0 db2 6666 0\n${STATUS_AND_MONITOR}`,
    ).warnings;
    expect(warning?.message).toMatch(/db1, db2/);
    expect(warning?.remedy).toMatch(/TWINE_PASSWORD_FILE/);
  });
});

describe("redis lines of twine.conf", () => {
  const settings = (lines: string): unknown =>
    fileOf(plan(`a1=data 0 db1 6666 0\n${STATUS_AND_MONITOR}${lines}`), "a1/redis.conf").values[
      "settings"
    ];

  test("a default steps back for the user's own line", () => {
    expect(settings("redis save 900 1\nredis save 300 10\n")).toEqual([
      { name: "repl-diskless-sync", value: "yes" },
      { name: "repl-diskless-sync-delay", value: "0" },
      { name: "replica-ignore-disk-write-errors", value: "yes" },
      { name: "busy-reply-threshold", value: "750" },
      { name: "save", value: "900 1" },
      { name: "save", value: "300 10" },
    ]);
  });

  test("a script is reported as busy before down-after, under the name that the server knows", () => {
    const busyNames = (text: string): string[] =>
      (text.match(/"(?:busy-reply-threshold|lua-time-limit)","value":"\d+"/g) ?? []).map((found) =>
        found
          .replace(/[",:]|value/g, " ")
          .replace(/\s+/g, " ")
          .trim(),
      );
    const busyOf = (lines: string): string[] => busyNames(JSON.stringify(settings(lines)));
    expect(busyOf("down-after 4s\n")).toEqual(["busy-reply-threshold 3000"]);
    // Redis's own 5 s is soon enough.
    expect(busyOf("down-after 30s\n")).toEqual([]);
    expect(busyOf("redis busy-reply-threshold 9000\n")).toEqual(["busy-reply-threshold 9000"]);
    expect(busyOf("redis lua-time-limit 9000\n")).toEqual(["lua-time-limit 9000"]);
    const old = plan(`a1=data 0 db1 6666 0\n${STATUS_AND_MONITOR}`, { redisMajor: 6 });
    expect(busyNames(JSON.stringify(fileOf(old, "a1/redis.conf")))).toEqual(["lua-time-limit 750"]);
  });

  test("an append only file makes SIGTERM save nothing, on a Redis that knows the setting", () => {
    expect(JSON.stringify(settings("redis appendonly yes\n"))).toContain("shutdown-on-sigterm");
    expect(JSON.stringify(settings("redis appendonly no\n"))).not.toContain("shutdown-on-sigterm");
    const old = plan(`a1=data 0 db1 6666 0\n${STATUS_AND_MONITOR}redis appendonly yes\n`, {
      redisMajor: 6,
    });
    expect(JSON.stringify(fileOf(old, "a1/redis.conf"))).not.toContain("shutdown-on-sigterm");
  });
});

test("a db above 15 raises the number of databases", () => {
  const planned = plan(`a1=data 0 db1 6666 40\n${STATUS_AND_MONITOR}`);
  expect(fileOf(planned, "a1/redis.conf").values["databases"]).toBe(41);
});

test("no secret stands in the plan, only the names of secrets", () => {
  const planned = plan(`a1=data 0 db1 6666 0\n${STATUS_AND_MONITOR}`, { hasPassword: true });
  expect(fileOf(planned, "a1/redis.conf").secrets).toEqual({
    masterauth: { user: "replica", form: "plain" },
  });
  expect(fileOf(planned, "a1/redis.conf").mode).toBe(0o600);
  expect(fileOf(planned, "a1/users.acl").mode).toBe(0o600);
});

test.each([".", ".."])("a node named %s can't have a folder and is refused", (name) => {
  expect(() => plan(`${name}=data 0 db1 6666 0\n${STATUS_AND_MONITOR}`)).toThrow();
});

describe("how long a stop waits", () => {
  test("a router has drain-for, and a little more to end", () => {
    const conf = `a1=data 0 db1 6666 0\nr1=router db1 6400\n${STATUS_AND_MONITOR}`;
    const graceOf = (planned: Plan): number | undefined =>
      planned.hosts[0]?.services.find(({ kind }) => kind === "router")?.graceMs;
    expect(graceOf(plan(conf))).toBe(5000);
    expect(graceOf(plan(`${conf}drain-for 1m\n`))).toBe(62_000);
  });
});

describe("twemproxy and Sentinel in containers", () => {
  const conf =
    "a1=data 0 db1 6666 0\na2=data 0 db2 6667 0\nm1=monitor db1 26379\nm2=monitor db2 26379\n" +
    "r1=router db1 6379 22222\nrouter twemproxy\nfailover sentinel\n";

  test("Sentinels come after the data nodes, which they would fail over, and routers last", () => {
    const { hosts } = plan(conf, { placement: "containers" });
    const after = hosts.flatMap(({ services }) => services.map((one) => [one.name, one.after]));
    expect(Object.fromEntries(after)).toEqual({
      ...{ a1: ["a2"], a2: [], m1: ["a1"], m2: ["m1"], r1: ["m2"] },
    });
  });

  test("say which program they are, and Sentinel has a volume", () => {
    const services = plan(conf, { placement: "pods" }).hosts.flatMap((host) => host.services);
    const kinds = services.map(({ name, stack, dataFolder }) => [name, stack, dataFolder]);
    expect(kinds).toContainEqual(["m1", "sentinel", "data"]);
    expect(kinds).toContainEqual(["r1", "twemproxy", undefined]);
    expect(kinds).toContainEqual(["a1", undefined, "data"]);
  });
});
