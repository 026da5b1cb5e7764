// settings.test.ts: a wrong or missing setting gives one error that names its key and an example, all at once.
import { describe, expect, test } from "vitest";
import { checkSettings, type DockerSettings } from "../../../infra/docker/settings.ts";
import { TwineError } from "../../../runtime/core/errors.ts";
import { configOf } from "../../golden/render-cases.ts";
import { confText } from "./recorded-program.ts";

const SHIPPED = configOf(confText("twine.conf"));
const THREE_HOSTS = configOf(confText("examples/three-hosts.conf"));
const ENDPOINTS = { db1: "ssh://root@db1", db2: "ssh://root@db2", db3: "ssh://root@db3" };

function check(args: object, config = THREE_HOSTS): DockerSettings {
  return checkSettings(args, config);
}

function problemsOf(args: object, config = THREE_HOSTS): string[] {
  try {
    check(args, config);
  } catch (error) {
    if (!(error instanceof TwineError)) throw error;
    return error.problems.map((problem) => `${problem.message} | ${problem.remedy ?? ""}`);
  }
  return [];
}

describe("where the cluster goes", () => {
  test("a file of this machine alone needs no setting: it becomes a pod on the local engine", () => {
    expect(check({}, SHIPPED).engine).toEqual({ docker: "unix:///var/run/docker.sock" });
  });

  test("several hosts without an endpoint are an error that names twine:hosts and twine:engine", () => {
    const [problem] = problemsOf({});
    expect(problem).toMatch(/^twine:hosts is missing, and twine\.conf names db1, db2, db3/);
    expect(problem).toMatch(/twine:engine/);
    expect(problem).toMatch(/pulumi config set --path/);
  });

  test("a host without an endpoint is named", () => {
    const problems = problemsOf({ hosts: { db1: ENDPOINTS.db1 }, password: "word" });
    expect(problems).toEqual([expect.stringMatching(/no endpoint for db2, db3/)]);
  });

  test("an endpoint that is none is shown", () => {
    const problems = problemsOf({ hosts: { ...ENDPOINTS, db2: "db2:2375" }, password: "word" });
    expect(problems).toEqual([expect.stringMatching(/\["db2"\] "db2:2375" is neither ssh|an ssh/)]);
  });

  test("a property that there is not is named with those that there are", () => {
    expect(problemsOf({ engine: { docker: "tcp://ci:2376", certpath: "/certs" } })).toEqual([
      expect.stringMatching(/^twine:engine has no property certpath; there are docker, certPath/),
    ]);
  });

  test("real hosts without a password can't reach each other, and that is said beforehand", () => {
    expect(problemsOf({ hosts: ENDPOINTS })).toEqual([
      expect.stringMatching(/^twine:password is missing.*--secret/),
    ]);
  });

  test("hosts and engine together are refused", () => {
    const problems = problemsOf({ hosts: ENDPOINTS, engine: "tcp://ci:2375", password: "word" });
    expect(problems[0]).toMatch(/^twine:engine and twine:hosts are both set/);
  });

  test("a pod can't be called by an address when there are several", () => {
    const config = configOf("a1=data 0 10.0.0.1 6666 0\na2=data 0 db2 6666 0\n");
    expect(problemsOf({ engine: "tcp://ci:2375" }, config)[0]).toMatch(
      /can't be called 10\.0\.0\.1/,
    );
  });
});

describe("everything else", () => {
  test("all mistakes are shown at once, each with its key and an example", () => {
    const problems = problemsOf({
      hosts: ENDPOINTS,
      password: "two words",
      redisImage: "has blanks in it",
      protectData: "yes",
      publish: ["r9=16400", "r1=99999", "m1=0.0.0.0:17601"],
      memory: "lots",
      labels: { team: 7 },
    });
    const keys = problems.map((problem) => /^twine:(\w+)/.exec(problem)?.[1]);
    expect(keys.toSorted()).toEqual([
      "labels",
      "memory",
      "password",
      "protectData",
      "publish",
      "publish",
      "publish",
      "redisImage",
    ]);
    expect(problems.every((problem) => problem.includes("for example: pulumi config set"))).toBe(
      true,
    );
    expect(problems.join()).not.toContain("two words");
  });

  test("a data node's memory follows maxmemory, and less than that is refused", () => {
    expect(check({ hosts: ENDPOINTS, password: "word" }).dataMemoryBytes).toBe(640 * 1024 ** 2);
    expect(problemsOf({ hosts: ENDPOINTS, password: "word", memory: "128mb" })).toEqual([
      expect.stringMatching(/^twine:memory is less than/),
    ]);
  });

  test("a router may leave 127.0.0.1 only with a password", () => {
    const publish = ["r1=0.0.0.0:16400"];
    const engine = "tcp://ci:2375";
    expect(problemsOf({ engine, publish })).toHaveLength(1);
    expect(problemsOf({ engine, publish, password: "word" })).toEqual([]);
  });
});
