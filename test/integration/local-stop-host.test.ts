// local-stop-host.test.ts: stopping one host of several hands its masters over first, and what would leave a partition
// without a master is refused. The hosts are three loopback addresses of this machine.
import { describe, expect, onTestFinished, test } from "vitest";
import { binPath } from "../support/bins.ts";
import { localFolder, type LocalFolder } from "../support/local-folder.ts";
import { isMissing } from "../support/programs.ts";
import { runCommand, type Ran } from "../support/run-tool.ts";

const CONF = `
a1=data 0 localhost {a1} 0
a2=data 0 127.0.0.2 {a2} 0
b1=data 1 localhost {b1} 0
b2=data 1 localhost {b2} 0
b3=data 1 127.0.0.2 {b3} 0
s1=status localhost {s1} 0
s2=status 127.0.0.2 {s2} 0
s3=status 127.0.0.3 {s3} 0
m1=monitor localhost {m1}
m2=monitor 127.0.0.2 {m2}
m3=monitor 127.0.0.3 {m3}
r1=router 127.0.0.3 {r1}
cluster hosts
`;

function run(local: LocalFolder, room: "infra" | "runtime", ...args: string[]): Promise<Ran> {
  const [name = "", ...rest] = args;
  return runCommand(process.execPath, [binPath(name, room), ...rest], { cwd: local.folder });
}

describe.skipIf(isMissing("redis-server", "redis-cli"))("twine-stop HOST", () => {
  test("moves its masters to other hosts first, and refuses to stop the last that could serve", async () => {
    const local = await localFolder(CONF);
    onTestFinished(async () => {
      await run(local, "infra", "twine-stop", "--force", "--no-handover");
    });
    const up = await run(local, "infra", "twine-up");
    expect(up.code, up.stdout + up.stderr).toBe(0);
    expect((await run(local, "runtime", "twine", "mset", "foo", "1", "x", "2")).stdout).toBe(
      "OK\n",
    );

    const first = await run(local, "infra", "twine-stop", "localhost");
    expect(first.stdout, first.stderr).toMatch(/a2: master of partition 0 now/);
    // Not b2, which stops with its host.
    expect(first.stdout).toMatch(/b3: master of partition 1 now/);
    expect(first.stdout).toMatch(/5 stopped, 0 were not running/);
    expect((await run(local, "runtime", "twine-status")).code).toBe(10);
    expect((await run(local, "runtime", "twine", "mget", "foo", "x")).stdout).toBe("1\n2\n");

    const second = await run(local, "infra", "twine-stop", "127.0.0.2");
    expect(second.code).toBe(1);
    expect(second.stderr).toMatch(
      /a2 is master of partition 0, and no other node .* runs elsewhere/,
    );
    expect(second.stderr).toMatch(
      /without s2 only 1 of 3 status nodes would run, and 2 are needed/,
    );
    expect(second.stderr).toMatch(/--force/);
    expect((await run(local, "runtime", "twine", "get", "foo")).stdout).toBe("1\n");

    const forced = await run(local, "infra", "twine-stop", "127.0.0.2", "--force");
    expect(forced.stdout, forced.stderr).toMatch(/4 stopped/);
    const all = await run(local, "infra", "twine-up");
    expect(all.code, all.stdout + all.stderr).toBe(0);
    const whole = await run(local, "infra", "twine-stop");
    expect(whole.stdout, whole.stderr).toMatch(/12 stopped/);
    expect(whole.stdout).not.toMatch(/master of partition/);
  }, 300_000);
});
