// Backups in a bucket of a real S3 server process, with its connections broken, its answers refused and the server killed.
import { createHash, randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { Copies } from "../../runtime/backup/copies.ts";
import { backupId } from "../../runtime/backup/manifest.ts";
import { folderTarget } from "../../runtime/backup/targets/folder-target.ts";
import type { S3Limits } from "../../runtime/backup/targets/s3-client.ts";
import { s3Target } from "../../runtime/backup/targets/s3-target.ts";
import type { BackupTarget } from "../../runtime/backup/targets/target.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import { badPort } from "../support/bad-port.ts";
import { startRedis } from "../support/redis-server.ts";
import { pythonWithS3, refusingStore, startS3, useS3 } from "../support/s3-server.ts";

const python = pythonWithS3() ?? "";
const MB = 1024 * 1024;
/** Long enough for every request on a busy machine; no test waits for them but those of a fault. */
const LIMITS: S3Limits = {
  ...{ firstAnswerMsMax: 30_000, requestMsMax: 30_000, partMsMax: 25_000, stalledMsMax: 25_000 },
};

function bucketTarget(
  more: {
    limits?: S3Limits;
    bucket?: string;
    pid?: number;
    host?: string;
    onWaiting?: (text: string) => void;
  } = {},
): BackupTarget {
  const { limits = LIMITS, bucket = "backups", pid = process.pid, host = "here" } = more;
  return s3Target({
    name: `s3://${bucket}/twine/test`,
    place: { bucket, prefix: "twine/test" },
    cluster: "test",
    clock: systemClock,
    owner: { host, pid },
    env: process.env,
    limits,
    onWaiting: more.onWaiting,
  });
}

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "twine-backup-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
});

function besideIt(): BackupTarget {
  const owner = { host: "here", pid: process.pid };
  return folderTarget({ name: "folder", folder, cluster: "test", clock: systemClock, owner });
}

let count = 0;
function newId(): string {
  const suffix = (count++).toString(16).padStart(3, "0");
  return backupId("test", "2026-11-30T17:04:05Z", suffix);
}

/** 13 MB that nothing compresses, in pieces as a socket gives them: two full parts and a third. */
const CONTENT = randomBytes(13 * MB);
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const MANIFEST = '{"any": "text"}\n';

function* pieces(bytes = CONTENT): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += 60_000) yield bytes.subarray(at, at + 60_000);
}

/** A backup of one large and one small file into all of them. */
async function saved(targets: readonly BackupTarget[], id = newId(), during?: () => Promise<void>) {
  const copies = await Copies.begin(id, targets);
  const large = await copies.create("partition-0.rdb");
  let written = 0;
  for (const piece of pieces()) {
    await large.write(piece);
    written += piece.length;
    if (during !== undefined && written > CONTENT.length / 2) {
      await during();
      during = undefined;
    }
  }
  await large.close();
  const small = await copies.create("partition-1.rdb");
  await small.write(Buffer.from("small"));
  await small.close();
  await copies.commit(MANIFEST);
  return { id, failures: copies.failures, names: copies.targets.map(({ name }) => name) };
}

async function read(target: BackupTarget, id: string, file: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of target.read(id, file)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

describe.skipIf(python === "")("a bucket", () => {
  test("holds a backup that is written in parts, lists it, reads it, keeps notes and removes it", async () => {
    const server = await startS3(python, ["backups"]);
    await server.overwrite(
      "backups",
      "twine/test/other-20200101T000000Z-aaaaaa/manifest.json",
      Buffer.from("x"),
    );
    await server.overwrite("backups", "twine/test/notes.txt", Buffer.from("x"));
    const target = bucketTarget();
    expect(await target.list()).toEqual([]);
    const { id, failures } = await saved([target]);
    expect(failures).toEqual([]);
    const under = (file: string): string => `twine/test/${id}/${file}`;
    const own = ["manifest.json", "partition-0.rdb", "partition-1.rdb"].map(under);
    const others = [
      "twine/test/notes.txt",
      "twine/test/other-20200101T000000Z-aaaaaa/manifest.json",
    ];
    expect((await server.keys("backups")).toSorted()).toEqual([...others, ...own].toSorted());
    expect(sha256(await read(target, id, "partition-0.rdb"))).toBe(sha256(CONTENT));
    expect(String(await read(target, id, "partition-1.rdb"))).toBe("small");
    await expect(read(target, id, "partition-2.rdb")).rejects.toThrow("it is not in backups");
    await target.writeNote(id, "verified.json", "good");
    expect(await target.list()).toEqual([
      {
        id,
        startedAtMs: Date.parse("2026-11-30T17:04:05Z"),
        manifest: MANIFEST,
        notes: new Map([["verified.json", "good"]]),
      },
    ]);
    await target.remove(id);
    expect(await target.list()).toEqual([]);
    expect((await server.keys("backups")).toSorted()).toEqual(others);
  });

  test("an aborted backup leaves nothing, neither objects nor parts", async () => {
    const server = await startS3(python, ["backups"]);
    const copies = await Copies.begin(newId(), [bucketTarget()]);
    const file = await copies.create("partition-0.rdb");
    for (const piece of pieces()) await file.write(piece);
    expect(await server.uploads("backups")).toBe(1);
    await copies.abort();
    expect([await server.keys("backups"), await server.uploads("backups")]).toEqual([[], 0]);
  });

  test("what a killed backup left is swept by the next one; one under way on another host is not", async () => {
    const server = await startS3(python, ["backups"]);
    const left = await bucketTarget({ host: "elsewhere", pid: 5 }).begin(newId());
    onTestFinished(() => left.abort().catch(() => undefined));
    const file = await left.create("partition-0.rdb");
    for (const piece of pieces()) await file.write(piece);
    const target = bucketTarget();
    await expect(target.sweep()).rejects.toMatchObject({
      code: "BACKUP_RUNNING",
      message: expect.stringContaining("process 5 on elsewhere") as string,
    });
    expect(await target.list()).toEqual([]);
    expect(await server.uploads("backups")).toBe(1);
    // Ten minutes without a word.
    const later = {
      ...systemClock,
      wallTime: () => new Date(Date.now() + 3_600_000).toISOString(),
    };
    const next = s3Target({
      name: "s3://backups/twine/test",
      place: { bucket: "backups", prefix: "twine/test" },
      cluster: "test",
      clock: later,
      owner: { host: "here", pid: 1 },
      env: process.env,
    });
    await next.sweep();
    expect([await server.keys("backups"), await server.uploads("backups")]).toEqual([[], 0]);
  });

  test("a file that another node's data replaces is the new one", async () => {
    await startS3(python, ["backups"]);
    const target = bucketTarget();
    const [id, copies] = [newId(), await Copies.begin(newId(), [target])];
    expect(id).not.toBe(copies.id);
    const first = await copies.create("partition-0.rdb");
    for (const piece of pieces()) await first.write(piece);
    await first.close();
    const second = await copies.create("partition-0.rdb");
    await second.write(Buffer.from("whole"));
    await second.close();
    await copies.commit(MANIFEST);
    expect(String(await read(target, copies.id, "partition-0.rdb"))).toBe("whole");
  });

  test("a connection that breaks while parts are sent costs that part alone; one that breaks while reading goes on", async () => {
    const server = await startS3(python, ["backups"]);
    const door = await badPort(server.port);
    useS3(door.url);
    const target = bucketTarget();
    door.cutAfter("up", 3 * MB, 4);
    const { id, failures } = await saved([target]);
    expect(failures).toEqual([]);
    expect(door.cuts()).toBe(4);
    expect(sha256(await server.bytes("backups", `twine/test/${id}/partition-0.rdb`))).toBe(
      sha256(CONTENT),
    );
    door.cutAfter("down", 2 * MB, 5);
    expect(sha256(await read(target, id, "partition-0.rdb"))).toBe(sha256(CONTENT));
    expect(door.cuts()).toBe(9);
    expect(await server.uploads("backups")).toBe(0);
  });

  test("an upload whose completion went through, but not its answer, is complete", async () => {
    const server = await startS3(python, ["backups"]);
    const door = await badPort(server.port);
    useS3(door.url);
    door.loseAnswerTo(/^POST \S+uploadId=/);
    const target = bucketTarget();
    const { id, failures } = await saved([target]);
    expect([failures, door.cuts()]).toEqual([[], 1]);
    expect(sha256(await read(target, id, "partition-0.rdb"))).toBe(sha256(CONTENT));
  });

  test("the endpoint and the credentials may come from a profile; a store of one's own needs no region", async () => {
    const server = await startS3(python, ["backups"]);
    await server.requireCredentials();
    const profile = "[profile own]\nendpoint_url = " + server.url + "\n";
    writeFileSync(join(folder, "config"), profile);
    const keys = "[own]\naws_access_key_id = of-a-profile\naws_secret_access_key = secret\n";
    writeFileSync(join(folder, "credentials"), keys);
    for (const name of ["ENDPOINT_URL_S3", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "REGION"])
      vi.stubEnv(`AWS_${name}`, undefined);
    vi.stubEnv("AWS_PROFILE", "own");
    vi.stubEnv("AWS_CONFIG_FILE", join(folder, "config"));
    vi.stubEnv("AWS_SHARED_CREDENTIALS_FILE", join(folder, "credentials"));
    // The server was reached, and was shown this profile's key, which it does not know.
    await expect(bucketTarget().list()).rejects.toThrow(/bucket backups: .*InvalidAccessKeyId/);
  });

  test.each(["killed", "stalled"] as const)(
    "a server that is %s in the middle of an upload costs this copy, with the reason; the folder has its own",
    async (how) => {
      const server = await startS3(python, ["backups"]);
      const door = await badPort(server.port);
      useS3(door.url);
      const limits = { ...LIMITS };
      const target = bucketTarget({ limits });
      const fault = async (): Promise<void> => {
        // What is asked from here on has no answer.
        Object.assign(limits, { requestMsMax: 500, partMsMax: 1000 });
        if (how === "killed") await server.kill();
        else door.stall();
      };
      const { names, failures, id } = await saved([target, besideIt()], newId(), fault);
      expect(names).toEqual(["folder"]);
      expect(failures).toMatchObject([
        { target: "s3://backups/twine/test", problem: { code: "BACKUP_TARGET_FAILED" } },
      ]);
      const { message, remedy } = failures[0]?.problem ?? {};
      expect(message).toMatch(
        /^s3:\/\/backups\/twine\/test: bucket backups: no complete answer within/,
      );
      expect(remedy).toContain("can be reached from here");
      expect((await besideIt().list()).map((backup) => backup.id)).toEqual([id]);
      if (how === "killed") return;
      useS3(server.url);
      // Nobody could tell it to forget the upload: the next backup does.
      expect(await bucketTarget().list()).toEqual([]);
      await bucketTarget().sweep();
      expect([await server.keys("backups"), await server.uploads("backups")]).toEqual([[], 0]);
    },
    120_000,
  );

  test("a bucket that is not there, unknown credentials and a dead endpoint are named with what to do", async () => {
    const server = await startS3(python, ["backups"]);
    const problem = async (target: BackupTarget): Promise<string> => {
      const { failures, names } = await saved([target, besideIt()]);
      expect(names).toEqual(["folder"]);
      const { message = "", remedy = "" } = failures[0]?.problem ?? {};
      return `${message} -> ${remedy}`;
    };
    expect(await problem(bucketTarget({ bucket: "nobodys" }))).toMatch(
      /s3:\/\/nobodys\/twine\/test: bucket nobodys: .*\(NoSuchBucket\) -> make the bucket/,
    );
    await server.requireCredentials();
    expect(await problem(bucketTarget())).toMatch(
      /bucket backups: .*\(InvalidAccessKeyId\) -> give the credentials of a user/,
    );
    vi.stubEnv("AWS_ACCESS_KEY_ID", undefined);
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", undefined);
    expect(await problem(bucketTarget())).toMatch(
      /bucket backups: .*CredentialsProviderError.* -> give the credentials of a user/,
    );
    await server.kill();
    useS3(server.url);
    const limits = { ...LIMITS, requestMsMax: 500 };
    expect(await problem(bucketTarget({ limits }))).toMatch(
      // The last attempt may be under way when the time ends.
      /bucket backups: .*(ECONNREFUSED|no complete answer).* -> see that the store runs/,
    );
  }, 60_000);

  test("a user without rights is told which ones he needs", async () => {
    const server = await startS3(python, ["backups"]);
    await server.becomeNobody();
    await server.requireCredentials();
    await expect(bucketTarget().list()).rejects.toMatchObject({
      message: expect.stringMatching(/bucket backups: .*\(AccessDenied\)/) as string,
      remedy: expect.stringContaining("allow this user s3:ListBucket") as string,
    });
  });

  test("who lists again reads only what is new, and sees what has changed", async () => {
    const server = await startS3(python, ["backups"]);
    const door = await badPort(server.port);
    useS3(door.url);
    const target = bucketTarget();
    const { id } = await saved([target]);
    expect(await target.list()).toHaveLength(1);
    // Method: whoever fetches an object gets no answer.
    door.loseAnswerTo(/^GET \S*manifest\.json/);
    expect(await target.list()).toHaveLength(1);
    expect(door.cuts()).toBe(0);
    await target.writeNote(id, "verified.json", "good");
    expect((await target.list())[0]?.notes.get("verified.json")).toBe("good");
    await target.writeNote(id, "verified.json", "evil");
    expect((await target.list())[0]?.notes.get("verified.json")).toBe("evil");
    await server.overwrite("backups", `twine/test/${id}/manifest.json`, Buffer.from("another"));
    expect((await target.list())[0]?.manifest).toBe("another");
    await target.remove(id);
    expect(await target.list()).toEqual([]);
  });
});

test.each([
  [400, "ExpiredToken", "The provided token has expired.", "get new credentials"],
  [400, "AuthorizationHeaderMalformed", "the region is wrong; expecting 'eu-west-1'", "AWS_REGION"],
  [301, "PermanentRedirect", "use the specified endpoint", "AWS_REGION"],
  [507, "XMinioStorageFull", "Storage backend has reached its minimum free space", "free space"],
  [403, "QuotaExceeded", "the bucket's quota is used up", "free space"],
])("%s %s is no reason to wait, and says what to do", async (status, code, text, remedy) => {
  useS3(await refusingStore(status, code, text));
  const problem = await bucketTarget()
    .begin(newId())
    .catch((error: unknown) => error);
  expect(problem).toMatchObject({
    code: "BACKUP_TARGET_FAILED",
    message: expect.stringContaining(`bucket backups: ${text} (${code})`) as string,
    remedy: expect.stringContaining(remedy) as string,
  });
});

test("a store that does not answer at all is waited for once, and says so meanwhile", async () => {
  const server = await startRedis([]);
  const door = await badPort(server.port);
  door.stall();
  useS3(door.url);
  const waited: string[] = [];
  const limits = { ...LIMITS, firstAnswerMsMax: 4000 };
  const target = bucketTarget({ limits, onWaiting: (text) => waited.push(text) });
  const late = /no complete answer within 4 s/;
  await expect(target.list()).rejects.toThrow(late);
  // Method: each of these would wait for as long, and say so.
  await expect(target.sweep()).rejects.toThrow(late);
  await expect(target.begin(newId())).rejects.toThrow(late);
  expect(waited).toEqual(["s3://backups/twine/test: no answer yet; it has 2 s more"]);
});
