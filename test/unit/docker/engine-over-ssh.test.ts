// engine-over-ssh.test.ts: an engine behind ssh://: what the program wrote counts, whenever Node hears of its end.
// Method: a program named ssh is first on PATH. What it does depends on the host: it answers and ends, or it fails.
import { execFileSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { callEngine } from "../../../infra/docker/engine-call.ts";
import { SshAgent } from "../../pulumi/provider/ssh-agent.ts";
import { until } from "../../support/redis-server.ts";

const BIG_BYTES = 3_000_000;

// Each name is a file in the folder: HOST.asked, HOST.go and HOST.ends.
const SSH = String.raw`#!/bin/sh
for word; do [ "$word" = -- ] && break; host=$word; done
case $host in
  refused) echo "root@refused: Permission denied (publickey)." >&2; exit 255;;
  silent) exit 0;;
esac
while IFS= read -r line; do [ "$line" = "$(printf '\r')" ] && break; done
cd FOLDER
touch $host.asked
case $host in
  big) printf 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${BIG_BYTES}\r\n\r\n'
    exec head -c ${BIG_BYTES} /dev/zero;;
esac
until [ -e $host.go ]; do sleep 0.01; done
printf 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nOK'
echo $$ > $host.pid
mv $host.pid $host.ends
`;

/** Blocks Node until the program of `host` has ended. */
const UNTIL_ENDED = String.raw`until [ -e $1.ends ]; do sleep 0.01; done
until grep -qs '^State:.*Z' /proc/$(cat $1.ends)/status || [ ! -e /proc/$(cat $1.ends) ]; do sleep 0.01; done`;

describe("an engine behind ssh", () => {
  let folder: string;
  const path = process.env["PATH"] ?? "";

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "twine-ssh-"));
    await writeFile(join(folder, "ssh"), SSH.replace("FOLDER", folder));
    await chmod(join(folder, "ssh"), 0o755);
    process.env["PATH"] = `${folder}${delimiter}${path}`;
  });
  afterEach(async () => {
    for (const host of ["first", "second"]) {
      for (const end of ["asked", "go", "ends"])
        await rm(join(folder, `${host}.${end}`), { force: true });
    }
  });
  afterAll(async () => {
    process.env["PATH"] = path;
    await rm(folder, { recursive: true, force: true });
  });

  const blockUntilEnded = (host: string): void => {
    execFileSync("sh", ["-c", UNTIL_ENDED, "sh", host], { cwd: folder });
  };
  const go = (host: string): void => {
    writeFileSync(join(folder, `${host}.go`), "");
  };

  /** As the stand-in for the docker provider asks; `onAnswer` runs when the head has come. */
  const ask = (host: string, onAnswer: () => void): Promise<string> =>
    new Promise((resolve, reject) => {
      const agent = new SshAgent(new URL(`ssh://root@${host}`), []);
      get({ agent, host: "docker", path: "/_ping" }, (response) => {
        onAnswer();
        resolve(text(response));
      }).once("error", reject);
    });

  test("an answer counts when Node hears of the program's end before it has read the answer", async () => {
    // Node learns in one batch that the first program answered and ended. While the first answer is handled, the second
    // program answers and ends. Then Node reaps both, and reads the second answer only afterwards.
    const answers = [
      ask("first", () => {
        go("second");
        blockUntilEnded("second");
      }),
      callEngine({ docker: "ssh://root@second" }, "/_ping").then(String),
    ];
    const areAsked = (): Promise<boolean> =>
      Promise.resolve(
        ["first", "second"].every((host) => existsSync(join(folder, `${host}.asked`))),
      );
    await until("both programs have the request", areAsked);
    go("first");
    blockUntilEnded("first");
    expect(await Promise.all(answers)).toEqual(["OK", "OK"]);
  });

  test("an answer that is larger than a pipe is read to its end", async () => {
    const answer = await callEngine({ docker: "ssh://root@big" }, "/images/x/get");
    expect(answer.length).toBe(BIG_BYTES);
  });

  test("a program that fails says why", async () => {
    await expect(callEngine({ docker: "ssh://root@refused" }, "/_ping")).rejects.toThrow(
      "ssh ended with 255: root@refused: Permission denied (publickey).",
    );
    await expect(ask("refused", () => {})).rejects.toThrow(
      "command [ssh -T -l root refused -- docker system dial-stdio] has exited with exit status 255, " +
        "please make sure the URL is valid, and Docker 18.09 or later is installed on the remote host: " +
        "stderr=root@refused: Permission denied (publickey).",
    );
    await expect(callEngine({ docker: "ssh://root@silent" }, "/_ping")).rejects.toThrow(
      "socket hang up",
    );
  });
});
