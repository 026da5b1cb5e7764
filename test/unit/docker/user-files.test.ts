// user-files.test.ts: the files that twine.conf names, looked at where pulumi runs, before anything is made.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  readUserFiles,
  type ReadUserFiles,
  type UserFileTexts,
} from "../../../infra/docker/user-files.ts";
import { parseConf } from "../../../runtime/core/conf/parse.ts";
import { formatProblem } from "../../../runtime/core/errors.ts";
import { authorityIn } from "../../support/certificates.ts";

const NODE = "a1=data 0 db1 6666 0";
const USERS = `reports ${"a".repeat(64)} read-only\n`;

describe("the files that twine.conf names", () => {
  let folder = "";

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "twine-user-files-"));
    mkdirSync(join(folder, "certs"));
    const authority = await authorityIn(join(folder, "certs"));
    await authority.issue("router");
    await authority.issue("other");
    writeFileSync(join(folder, "users"), USERS);
  });

  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  /** As twine.conf in the test's folder, its lines after the first node's. */
  function read(lines: readonly string[], own?: UserFileTexts, hasPassword = true): ReadUserFiles {
    const text = [NODE, ...lines].join("\n");
    const { config, places, errors } = parseConf(text, join(folder, "twine.conf"));
    if (config === undefined) throw new Error(errors.map(formatProblem).join("\n"));
    return readUserFiles({ config, places }, own, hasPassword);
  }

  function told(...asked: Parameters<typeof read>): string[] {
    return read(...asked).problems.map((one) => formatProblem(one).replaceAll(`${folder}/`, ""));
  }

  const tls = ["tls-cert certs/router.crt", "tls-key certs/router.key", "tls-ca certs/ca.crt"];

  test("are read from twine.conf's folder, or from where an absolute path says", () => {
    const { contents, problems } = read([...tls, `users-file ${join(folder, "users")}`]);
    expect(problems).toEqual([]);
    expect(Object.keys(contents).sort()).toEqual(["tls-ca", "tls-cert", "tls-key", "users-file"]);
    expect(contents["users-file"]).toBe(USERS);
    expect(contents["tls-key"]).toMatch(/PRIVATE KEY/);
  });

  test("are uploaded byte by byte where they are a compiled hash", () => {
    const program = Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0xff, 0xfe, 0x00, 0x0d, 0x0a]);
    writeFileSync(join(folder, "compiled"), program);
    writeFileSync(join(folder, "script"), "#!/bin/sh\necho é\n");
    expect(read(["hash ./compiled"]).contents.hash).toEqual({ base64: program.toString("base64") });
    expect(read(["hash ./script"]).contents.hash).toBe("#!/bin/sh\necho é\n");
  });

  test("that are missing are all told, each with its line, its path and the remedy", () => {
    const problems = told(["users-file nobody", "tls-cert certs/router.crt", "tls-key certs"]);
    expect(problems).toEqual([
      expect.stringMatching(
        /^twine\.conf:2:1: users-file nobody: ENOENT: .*'nobody'\n {2}remedy: create the file on the machine where pulumi runs,/,
      ),
      expect.stringMatching(/^twine\.conf:4:1: tls-key certs: certs is not a regular file/),
    ]);
  });

  test("a key of another certificate is told without showing it", () => {
    const [problem = "", ...others] = told([tls[0] ?? "", "tls-key certs/other.key"]);
    expect(others).toEqual([]);
    expect(problem).toMatch(
      /^twine\.conf:2:1: tls-cert, tls-key can't be used together: .*mismatch.*\n.*name PEM files/,
    );
    expect(told(["tls-ca users"])).toEqual([
      expect.stringMatching(/^twine\.conf:2:1: tls-ca can't be used: /),
    ]);
  });

  test("a wrong line of the users file is told with its place", () => {
    const own = { "users-file": "reports hunter2\napp\n" };
    const problems = told(["users-file users"], own);
    expect(problems).toEqual([
      expect.stringMatching(/^users:1:9: user reports: this is no SHA-256\n/),
      expect.stringMatching(/^users:2:1: user app has another password here than the cluster's\n/),
    ]);
    expect(problems.join()).not.toContain("hunter2");
    const app = { "users-file": `app ${"b".repeat(64)}\n` };
    expect(told(["users-file users"], app, false)).toEqual([]);
  });

  test("a line of the backup key's file that is no public key is told with its place, and not shown", () => {
    const own = { "backup-key": `# whose\nAGE-SECRET-KEY-1${"Q".repeat(58)}\n` };
    const problems = told(["backup-key backup.pub"], own);
    expect(problems).toEqual([expect.stringMatching(/^backup\.pub:2:1: this is a secret key/)]);
    expect(problems.join()).not.toContain("QQQ");
    expect(told(["backup-key backup.pub"])).toEqual([
      expect.stringMatching(/^twine\.conf:2:1: backup-key backup\.pub: ENOENT/),
    ]);
  });

  test("may be given as texts instead, also such as are not known yet", () => {
    const key = pulumi.output("made by another resource");
    const own = { "tls-cert": "anything", "tls-key": key, "tls-ca": "anything" };
    const { contents, problems } = read(tls, own);
    expect(problems).toEqual([]);
    expect(contents).toEqual(own);
    expect(contents["tls-key"]).toBe(key);
  });

  test("a text for which twine.conf has no line is not passed over", () => {
    expect(told([], { "tls-key": "key" })).toEqual([
      expect.stringMatching(/^files\["tls-key"\] is set, but .*\n.*add a line tls-key FILE/),
    ]);
  });

  test("tls-nodes is refused at its line: redis-servers in containers speak no TLS", () => {
    expect(told(["tls-nodes yes", "tls-ca certs/ca.crt"])).toEqual([
      expect.stringMatching(
        /^twine\.conf:2:1: tls-nodes yes: redis-servers in containers .*no TLS/,
      ),
    ]);
  });
});
