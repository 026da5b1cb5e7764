// supervisor-systemd.test.ts: units under a real systemd that is PID 1 of a machine of its own: install, start, kill, hand
// over, stop by hand, reboot.
import { chown, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { binPath } from "../support/bins.ts";
import { localFolder, SMALL } from "../support/local-folder.ts";
import { isMissing } from "../support/programs.ts";
import { freePort } from "../support/port-claims.ts";
import { until } from "../support/redis-server.ts";
import { runCommand, type Ran } from "../support/run-tool.ts";
import { hasSystemd, systemdMachine, type SystemdMachine } from "../support/systemd-machine.ts";

const CONF = `
a1=data 0 localhost {a1} 0
a2=data 0 localhost {a2} 0
s1=status localhost {s1} 0
m1=monitor localhost {m1}
r1=router localhost {r1}
cluster units
redis appendonly yes
supervisor systemd
`;
const FOLDER = "/srv/twine";
const LONG_MS = 90_000;
const TWINE_UID = 12_345;

function tool(machine: SystemdMachine, room: "infra" | "runtime", ...args: string[]): Promise<Ran> {
  const [name = "", ...rest] = args;
  const conf = ["--conf", `${FOLDER}/twine.conf`];
  const words = name === "twine" ? [...conf, ...rest] : [...rest, ...conf];
  return machine.run(process.execPath, binPath(name, room), ...words);
}

async function isOk(machine: SystemdMachine): Promise<void> {
  const ok = async (): Promise<boolean> =>
    (await tool(machine, "runtime", "twine-status")).code === 0;
  await until("the cluster is OK", ok, LONG_MS).catch(async (error: unknown) => {
    const status = await tool(machine, "runtime", "twine-status");
    const log = await machine.run("journalctl", "-n", "40", "--no-pager", "-u", "twine-*");
    throw new Error(`${String(error)}\n${status.stdout}${status.stderr}${log.stdout}`);
  });
}

async function mainPid(machine: SystemdMachine, node: string): Promise<number> {
  const unit = `twine-units-${node}.service`;
  return Number((await machine.run("systemctl", "show", "-P", "MainPID", unit)).stdout);
}

async function roleOf(machine: SystemdMachine, port: number): Promise<string> {
  return (await machine.run("redis-cli", "-p", String(port), "ROLE")).stdout.split("\n")[0] ?? "";
}

describe.skipIf(!hasSystemd || isMissing("redis-server", "redis-cli", "systemd-analyze"))(
  "supervisor systemd",
  () => {
    test("installed units start, restart without end, hand over, obey the tools, and start at boot", async () => {
      const machine = await systemdMachine();
      const ports = new Map<string, number>();
      for (const name of ["a1", "a2", "s1", "m1", "r1"]) ports.set(name, await freePort());
      const port = (name: string): number => ports.get(name) ?? 0;
      const own = join(machine.root, FOLDER);
      await mkdir(own);
      const conf = CONF.replace(/\{(\w+)\}/g, (_, name: string) => String(port(name)));
      await writeFile(join(own, "twine.conf"), conf);
      await chown(own, TWINE_UID, TWINE_UID);

      const setUp = await tool(machine, "infra", "twine-setup", "--install-units");
      expect(setUp.code, setUp.stdout + setUp.stderr).toBe(0);
      expect(setUp.stdout).toMatch(/6 units written to \/etc\/systemd\/system/);
      const target = "twine-units-localhost.target";
      const units = `/etc/systemd/system/${target}`;
      const verified = await machine.run("systemd-analyze", "verify", units);
      expect(verified.stderr).toBe("");
      const begun = await machine.run("systemctl", "start", target);
      expect(begun.code, begun.stderr).toBe(0);
      await isOk(machine);
      const set = await machine.run("redis-cli", "-p", String(port("r1")), "SET", "foo", "bar");
      expect(set.stdout).toBe("OK\n");
      const owner = await machine.run(
        "ps",
        "-o",
        "user=",
        "-p",
        String(await mainPid(machine, "a1")),
      );
      expect(owner.stdout.trim()).toBe("twine");

      // More often than the default limit of five starts in ten seconds.
      for (let round = 0; round < 7; round++) {
        const pid = await mainPid(machine, "a2");
        await machine.run("kill", "-9", String(pid));
        await until(
          "a2 is back",
          async () => ![0, pid].includes(await mainPid(machine, "a2")),
          LONG_MS,
        );
      }
      await isOk(machine);

      const master = (await roleOf(machine, port("a1"))) === "master" ? "a1" : "a2";
      const other = master === "a1" ? "a2" : "a1";
      const stop = await machine.run("systemctl", "stop", `twine-units-${master}`);
      expect(stop.code, stop.stderr).toBe(0);
      // At once by the handover; on a machine so loaded that the alpha refused it, by a failover.
      await until(
        `${other} is master`,
        async () => (await roleOf(machine, port(other))) === "master",
      );
      const got = await machine.run("redis-cli", "-p", String(port("r1")), "GET", "foo");
      expect(got.stdout).toBe("bar\n");
      const start = await tool(machine, "infra", "twine-start", master);
      expect(start.stdout, start.stderr).toMatch(/1 started/);
      expect((await machine.run("systemctl", "is-active", `twine-units-${master}`)).stdout).toBe(
        "active\n",
      );
      await isOk(machine);
      const byHand = await tool(machine, "infra", "twine-stop", master);
      expect(byHand.stdout, byHand.stderr).toMatch(/1 stopped/);
      expect((await machine.run("systemctl", "is-active", `twine-units-${master}`)).stdout).toBe(
        "inactive\n",
      );

      await machine.reboot();
      await isOk(machine);
      const after = await machine.run("redis-cli", "-p", String(port("r1")), "GET", "foo");
      expect(after.stdout).toBe("bar\n");
      await machine.run("systemctl", "stop", target);
      for (const name of ports.keys()) {
        await until(`${name} is stopped`, async () => (await mainPid(machine, name)) === 0);
      }
    }, 600_000);
  },
);

describe.skipIf(!hasSystemd || isMissing("redis-server", "redis-cli"))(
  "twine-apply under systemd",
  () => {
    test("a rolling change, a node added and removed, and what systemd started by itself", async () => {
      const machine = await systemdMachine();
      const names = ["a1", "a2", "a3", "s1", "m1", "r1"];
      const ports = new Map<string, number>();
      for (const name of [...names, "moved"]) ports.set(name, await freePort());
      const port = (name: string): number => ports.get(name) ?? 0;
      const own = join(machine.root, FOLDER);
      await mkdir(own);
      const conf = CONF.replace(/\{(\w+)\}/g, (_, name: string) => String(port(name)));
      const edit = async (text: string): Promise<void> => {
        await writeFile(join(own, "twine.conf"), text);
      };
      const apply = async (): Promise<string> => {
        const ran = await tool(machine, "infra", "twine-apply");
        expect([ran.code, ran.stderr, ran.stdout]).toEqual([0, "", ran.stdout]);
        return ran.stdout;
      };
      const pids = (...nodes: string[]): Promise<number[]> =>
        Promise.all(nodes.map((node) => mainPid(machine, node)));
      const setting = async (node: string): Promise<string> => {
        const words = ["-p", String(port(node)), "CONFIG", "GET", "tcp-backlog"];
        return (await machine.run("redis-cli", ...words)).stdout.split("\n")[1] ?? "";
      };
      await edit(conf);
      await chown(own, TWINE_UID, TWINE_UID);
      const setUp = await tool(machine, "infra", "twine-setup", "--install-units");
      expect(setUp.code, setUp.stdout + setUp.stderr).toBe(0);
      await machine.run("systemctl", "start", "twine-units-localhost.target");
      await isOk(machine);
      // All was started by systemd, and nothing is to be done.
      expect(await apply()).toBe("0 done, 0 handovers\n");

      const before = await pids("a1", "a2", "m1", "r1");
      await edit(`${conf}redis tcp-backlog 300\n`);
      expect(await apply()).toMatch(/, 1 handovers/);
      expect(await Promise.all([setting("a1"), setting("a2")])).toEqual(["300", "300"]);
      const after = await pids("a1", "a2", "m1", "r1");
      expect(after.map((pid, at) => pid === before[at])).toEqual([false, false, true, true]);
      expect(after).not.toContain(0);

      // A node is added by the same command, as a unit that is there after a reboot too.
      const more = `${conf}redis tcp-backlog 300\na3=data 0 localhost ${port("a3")} 0\n`;
      await edit(more);
      const dry = await tool(machine, "infra", "twine-apply", "--dry-run");
      expect(dry.stdout).toMatch(/^systemd: install the units/m);
      expect(await apply()).toMatch(/^systemd: \d units written/m);
      await isOk(machine);
      expect(await mainPid(machine, "a3")).not.toBe(0);
      await machine.reboot();
      await isOk(machine);
      expect(await mainPid(machine, "a3")).not.toBe(0);
      expect(await apply()).toBe("0 done, 0 handovers\n");

      // systemd started all of them, so only after-start.sh knows by which twine.conf: another port is a restart.
      await edit(more.replace(` ${port("a2")} `, ` ${port("moved")} `));
      expect(await apply()).toMatch(/a2: restarted.*its address or port changed/);
      ports.set("a2", port("moved"));
      await isOk(machine);
      expect(await setting("a2")).toBe("300");

      await edit(more.replace(/^a2=.*\n/m, ""));
      expect(await apply()).toMatch(/a2: stopped/);
      await isOk(machine);
      const unit = await machine.run("systemctl", "cat", "twine-units-a2.service");
      expect(unit.code).not.toBe(0);
      await machine.run("systemctl", "stop", "twine-units-localhost.target");
    }, 600_000);
  },
);

describe("before-start.sh", () => {
  test("refuses another cluster's data, and data that Redis would not load", async () => {
    const local = await localFolder(`${SMALL}redis appendonly yes\nsupervisor systemd\n`);
    await local.setup();
    const check = (cluster = "small"): Promise<Ran> =>
      runCommand("sh", [local.path("systemd", "before-start.sh"), local.path("a1"), cluster], {
        cwd: "/",
      });
    expect((await check()).code).toBe(0);
    const foreign = await check("other");
    expect(foreign.stderr).toMatch(/belongs to 'cluster small', not to 'cluster other'/);
    expect(foreign.code).toBe(1);
    await writeFile(local.path("a1", "data", "dump.rdb"), "REDIS0010");
    const rdb = await check();
    expect(rdb.stderr).toMatch(/is in dump\.rdb.*twine-start a1 once/s);
    expect(rdb.code).toBe(1);
    await mkdir(local.path("a1", "data", "appendonlydir"));
    await writeFile(
      local.path("a1", "data", "appendonlydir", "a.manifest"),
      "file a seq 1 type b\n",
    );
    expect((await check()).code).toBe(0);
    await local.rewrite((conf) => conf.replace("redis appendonly yes\n", ""));
    await local.setup();
    const aof = await check();
    expect(aof.stderr).toMatch(/in an append only file.*appendonly no/s);
    expect(aof.code).toBe(1);
  });
});
