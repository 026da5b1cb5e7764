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
    expect(problems).toEqual([
      `twine:hosts has no endpoint for db2, db3, which twine.conf names | for example: pulumi config set --path 'twine:hosts["db2"]' ssh://root@db2`,
    ]);
  });

  test("an endpoint that is none is shown", () => {
    const problems = problemsOf({ hosts: { ...ENDPOINTS, db2: "db2:2375" }, password: "word" });
    expect(problems).toEqual([
      `twine:hosts["db2"] "db2:2375" is neither an ssh://, tcp:// nor unix:// endpoint | for example: pulumi config set --path 'twine:hosts["db2"]' ssh://root@db2`,
    ]);
  });

  test("a property that there is not is named with those that there are", () => {
    expect(problemsOf({ engine: { docker: "tcp://ci:2376", certpath: "/certs" } })).toEqual([
      expect.stringMatching(
        /^twine:engine\.certpath is no property of an endpoint; there are sshOpts, certPath.*; did you mean certPath\?/,
      ),
    ]);
  });

  test("real hosts without a password can't reach each other, and that is said beforehand", () => {
    expect(problemsOf({ hosts: ENDPOINTS })).toEqual([
      expect.stringMatching(/^twine:password is missing.*--secret/),
    ]);
  });

  test("what would be passed over is refused: a host that twine.conf lacks, no IP address, ports of pods", () => {
    const problems = problemsOf({
      hosts: {
        ...ENDPOINTS,
        db3: { docker: ENDPOINTS.db3, address: "not an ip" },
        db4: "ssh://db4",
      },
      password: "word",
      publish: ["routers"],
    });
    expect(problems).toEqual([
      `twine:hosts["db4"] is no host of twine.conf, which names db1, db2, db3; did you mean db1? | for example: pulumi config rm --path 'twine:hosts["db4"]'`,
      expect.stringMatching(/^twine:hosts\["db3"\]\.address must be an IP address, and is "not an/),
      expect.stringMatching(/^twine:publish is for pods alone.* pulumi config rm twine:publish$/),
    ]);
  });

  test("access that its scheme has no use for is refused", () => {
    const db1 = { docker: ENDPOINTS.db1, certPath: "/certs" };
    const db2 = { docker: "tcp://db2:2376", sshOpts: ["-4"] };
    const problems = problemsOf({ hosts: { ...ENDPOINTS, db1, db2 }, password: "word" });
    expect(problems).toEqual([
      expect.stringMatching(/^twine:hosts\["db1"\]\.certPath is for tcp:\/\/ endpoints/),
      expect.stringMatching(/^twine:hosts\["db2"\]\.sshOpts is for ssh:\/\/ endpoints/),
    ]);
  });

  test("twine:engineAccess joins twine:engine", () => {
    const args = { engine: "tcp://ci:2376", engineAccess: { certPath: "/certs" } };
    expect(check(args).engine).toEqual({ docker: "tcp://ci:2376", certPath: "/certs" });
  });

  test("complaints about twine:engineAccess name it, also when it stands alone or beside twine:hosts", () => {
    const engine = "tcp://ci:2376";
    const example = "for example: pulumi config set --path twine:engineAccess.certPath";
    expect(problemsOf({ engine, engineAccess: { certpath: "/c" } })).toEqual([
      expect.stringMatching(`^twine:engineAccess\\.certpath is no property.*${example}`),
    ]);
    expect(problemsOf({ engine, engineAccess: "/certs" })).toEqual([
      expect.stringMatching(`^twine:engineAccess must be an object.*${example}`),
    ]);
    expect(problemsOf({ engineAccess: { certPath: "/c" } }, SHIPPED)).toEqual([
      expect.stringMatching(/^twine:engineAccess\.certPath is for tcp:.*unix:.*docker\.sock \|/),
    ]);
    const hosts = { hosts: ENDPOINTS, password: "word", engineAccess: { certPath: "/c" } };
    expect(problemsOf(hosts)).toEqual([expect.stringMatching(/^twine:engineAccess is how to get/)]);
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
  test("a key that nobody reads is refused, with the one that was meant", () => {
    expect(problemsOf({ engin: "tcp://ci:2376", colour: "red" }, SHIPPED)).toEqual([
      "twine:engin is not a key that Twine reads; did you mean twine:engine? | pulumi config rm twine:engin",
      expect.stringMatching(
        /^twine:colour is not .*; there are twine:backup, twine:conf, twine:engine, .* rm twine:colour$/,
      ),
    ]);
  });

  test("the mail relay's password and its user go together, and no mail without one is told beforehand", () => {
    const relay = (lines: string) => configOf(`${confText("twine.conf")}\n${lines}\n`);
    const withUser = relay("alert-smtp smtp://twine%40example.com@mail.example.com:587");
    const mailed = relay("alert-mail me@example.com\nalert-smtp smtp://me@mail.example.com:587");
    expect(problemsOf({}, withUser)).toEqual([]);
    expect(problemsOf({ smtpPassword: "any words" }, mailed)).toEqual([]);
    expect(problemsOf({}, mailed)).toEqual([
      expect.stringMatching(
        /^twine:smtpPassword is missing, and alert-smtp names the user me \|.*--secret twine:smtp/,
      ),
    ]);
    expect(problemsOf({ smtpPassword: "" }, mailed)).toEqual([
      expect.stringMatching(/^twine:smtpPassword must be one line, and not an empty one/),
    ]);
    expect(problemsOf({ smtpPassword: "word" }, SHIPPED)).toEqual([
      expect.stringMatching(
        /^twine:smtpPassword is set, and twine.conf's alert-smtp names no user/,
      ),
    ]);
  });

  test("backups that would be lost with a container, and half of a key, are told beforehand", () => {
    const conf = (line: string) => configOf(`${confText("twine.conf")}\n${line}\n`);
    const keys = { accessKeyId: "AKIA", secretAccessKey: "word" };
    expect(problemsOf({ backup: keys }, conf("backup-dir s3://bucket/twine"))).toEqual([]);
    expect(problemsOf({}, conf("backup-dir s3://bucket/twine"))).toEqual([]);
    const folder = { folder: "/srv/backups" };
    expect(problemsOf({ backup: folder }, conf("backup-dir /backups/of-twine"))).toEqual([]);
    expect(problemsOf({}, conf("backup-dir /backups"))).toEqual([
      expect.stringMatching(
        /^twine:backup\.folder is missing, and twine.conf has backup-dir \/backups/,
      ),
    ]);
    expect(problemsOf({ backup: folder }, conf("backup-dir backups"))).toEqual([
      expect.stringMatching(
        /^twine:backup\.folder twine.conf has backup-dir backups: .* is lost with it/,
      ),
    ]);
    expect(problemsOf({ backup: { folder: "srv", acessKeyId: "a" } }, SHIPPED)).toEqual([
      expect.stringMatching(/^twine:backup\.acessKeyId is not a key/),
      expect.stringMatching(/^twine:backup\.folder must be an absolute path/),
    ]);
    expect(problemsOf({ backup: { accessKeyId: "a" } }, SHIPPED)).toEqual([
      expect.stringMatching(
        /^twine:backup accessKeyId and secretAccessKey are only of use together/,
      ),
    ]);
    expect(problemsOf({ backup: { ...keys, region: "a\nb" } }, SHIPPED)).toEqual([
      expect.stringMatching(/^twine:backup\.region must be one line/),
    ]);
    expect(problemsOf({ backup: "s3://bucket" }, SHIPPED)).toEqual([
      expect.stringMatching(/^twine:backup must be an object/),
    ]);
  });

  test("an empty password is none", () => {
    expect(problemsOf({ password: "" }, SHIPPED)).toEqual([
      expect.stringMatching(/^twine:password must be one word.*--secret twine:password/),
    ]);
  });

  test("all mistakes are shown at once, each with its key and an example", () => {
    const problems = problemsOf({
      engine: "tcp://ci:2375",
      password: "two words",
      redisImage: "has blanks in it",
      protectData: "yes",
      publish: ["r9=16400", "r1=99999", "m1=0.0.0.0:17601"],
      memory: "lots",
      labels: { team: [] },
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

  test("lists and objects of a wrong type are named with what they are and an example", () => {
    const hosts = [ENDPOINTS.db1];
    expect(problemsOf({ hosts, publish: "r1=16400", labels: "storage", password: "word" })).toEqual(
      [
        `twine:hosts must be an object, host of twine.conf -> endpoint, and is a list | for example: pulumi config set --path 'twine:hosts["db1"]' ssh://root@db1`,
        expect.stringMatching(/^twine:publish is for pods alone/),
        "twine:publish must be a list of texts, and is a text | for example: pulumi config set --path 'twine:publish[0]' r1=16400",
        `twine:labels must be an object, label -> text, and is a text | for example: pulumi config set --path 'twine:labels["team"]' storage`,
      ],
    );
    const engine = "tcp://ci:2376";
    expect(problemsOf({ engine, publish: { r1: 16400 }, labels: { team: null } })).toEqual([
      expect.stringMatching(/^twine:publish must be a list of texts, and is an object \|/),
      expect.stringMatching(/^twine:labels\["team"\] must be a text, and is null \| for example/),
    ]);
  });

  test("a label that Pulumi took for a number is the text that was meant", () => {
    const labels = { tier: 7, spare: false, team: "storage" };
    expect(check({ engine: "tcp://ci:2376", labels }).labels).toEqual({
      tier: "7",
      spare: "false",
      team: "storage",
    });
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

test("a platform is linux/ARCHITECTURE, and each engine's own when there is none", () => {
  const engine = "unix:///var/run/docker.sock";
  expect(check({ engine }).platform).toBeUndefined();
  expect(check({ engine, platform: "linux/arm/v7" }).platform).toBe("linux/arm/v7");
  expect(problemsOf({ engine, platform: "arm64" })).toEqual([
    'twine:platform must be linux/ARCHITECTURE, and is "arm64" | for example: pulumi config set twine:platform linux/amd64',
  ]);
});

describe("twemproxy and Sentinel", () => {
  const stack = confText("examples/twemproxy-sentinel.conf");

  test("run in containers, but for a file that two of them would share", () => {
    expect(problemsOf({ nutcrackerImage: "nutcracker:0.5" }, configOf(stack))).toEqual([]);
    expect(problemsOf({}, configOf(`${stack}twemproxy-staging /tmp/staged\n`))).toEqual([
      "twemproxy-staging of twine.conf is a file that Sentinel and twemproxy share, and containers share none | " +
        "remove the line: without it twine-twemproxy asks Sentinel by itself",
    ]);
  });

  test("have one password", () => {
    const passwords = { password: "new-word", oldPassword: "old-word" };
    expect(problemsOf(passwords, configOf(stack))).toEqual([
      "twine:oldPassword is set, and twemproxy has one password only | for example: pulumi config rm twine:oldPassword",
    ]);
  });
});
