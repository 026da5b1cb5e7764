// supervisor-stack.test.ts: twemproxy and Sentinel under Debian's monit, under a real systemd, and under a user's own
// systemd: all come up, are restarted after a kill, and a killed master is restarted only after Sentinel has replaced it.
import { chown, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { binPath } from "../support/bins.ts";
import { localFolder, type LocalFolder } from "../support/local-folder.ts";
import { freePort } from "../support/port-claims.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { runCommand, type Ran } from "../support/run-tool.ts";
import { hasSystemd, systemdMachine, type SystemdMachine } from "../support/systemd-machine.ts";

const NAMES = ["a1", "a2", "proxy", "watch"];
const LONG_MS = 120_000;
const TWINE_UID = 12_345;
const FOLDER = "/srv/twine";

function conf(supervisor: string): string {
  return `
a1=data 0 localhost {a1} 0
a2=data 0 localhost {a2} 0
watch=monitor localhost {watch}
proxy=router localhost {proxy} {stats}
cluster stack
router twemproxy
failover sentinel
down-after 4s
${supervisor}
`;
}

/** Ways to look at a stack, wherever it runs. */
interface Stack {
  redisCli(port: number, ...command: string[]): Promise<Ran>;
  port(name: string): number;
}

async function isWritten(stack: Stack): Promise<boolean> {
  return (await stack.redisCli(stack.port("proxy"), "SET", "k", "v")).stdout.trim() === "OK";
}

async function masterName(stack: Stack): Promise<"a1" | "a2" | undefined> {
  for (const name of ["a1", "a2"] as const) {
    const role = await stack.redisCli(stack.port(name), "ROLE");
    if (role.stdout.startsWith("master")) return name;
  }
  return undefined;
}

/** A replica that Sentinel may promote. */
async function untilInSync(stack: Stack): Promise<void> {
  await until(
    "the master has its replica",
    async () => {
      const name = await masterName(stack);
      if (name === undefined) return false;
      const info = await stack.redisCli(stack.port(name), "INFO", "replication");
      const asked = ["SENTINEL", "REPLICAS", "twine-p0"];
      const seen = await stack.redisCli(stack.port("watch"), ...asked);
      return /state=online/.test(info.stdout) && /master-link-status\nok/.test(seen.stdout);
    },
    LONG_MS,
  );
}

/** Kills the master; the other one takes over before the killed one is back, which then follows it. */
async function expectReplaced(stack: Stack, kill: (name: string) => Promise<void>): Promise<void> {
  await untilInSync(stack);
  const master = await masterName(stack);
  const other = master === "a1" ? "a2" : "a1";
  await kill(master ?? "");
  let isBack = false;
  await until(
    `${other} is master`,
    async () => {
      const role = await stack.redisCli(stack.port(master ?? ""), "ROLE");
      isBack ||= role.stdout.startsWith("master");
      return (await stack.redisCli(stack.port(other), "ROLE")).stdout.startsWith("master");
    },
    LONG_MS,
  );
  expect(isBack, "the killed master served again before it was replaced").toBe(false);
  await until("twemproxy serves the new one", () => isWritten(stack), LONG_MS);
  await until(
    `${master ?? ""} follows`,
    async () =>
      /^slave[^]*connected/.test((await stack.redisCli(stack.port(master ?? ""), "ROLE")).stdout),
    LONG_MS,
  );
}

describe.skipIf(isMissing("monit", "redis-server", "redis-cli", "nutcracker"))("monit", () => {
  test("starts twemproxy and Sentinel, restarts what is killed, stops all, and starts all again", async () => {
    const local = await localFolder(conf("supervisor monit\nmonit-every 1s\nmonit-port {monit}"));
    const stack: Stack = {
      port: (name) => local.port(name),
      redisCli: (port, ...command) => runCommand("redis-cli", ["-p", String(port), ...command], {}),
    };
    onTestFinished(async () => {
      const pid = Number(await local.read("monit", "monit.pid").catch(() => "0"));
      if (pid > 1) process.kill(pid, "SIGKILL");
    });
    const monit = (...args: string[]): Promise<Ran> =>
      runCommand("monit", ["-B", "-c", local.path("monit", "monitrc"), ...args], { cwd: "/" });
    const run = async (names: readonly string[]): Promise<void> => {
      await until(
        `${names.join(", ")} run`,
        async () => (await local.running()).join() === names.join(),
        LONG_MS,
      );
    };
    await setUp(local);
    expect((await monit()).code).toBe(0);
    await run(NAMES);
    await until("it serves", () => isWritten(stack), LONG_MS);
    for (const name of ["proxy", "watch"]) {
      const pid = await local.pid(name);
      process.kill(pid, "SIGKILL");
      await until(
        `${name} is back`,
        async () => ![undefined, pid].includes(await local.pid(name).catch(() => undefined)),
        LONG_MS,
      );
    }
    await until("it serves again", () => isWritten(stack), LONG_MS);
    await expectReplaced(stack, async (name) => {
      process.kill(await local.pid(name), "SIGKILL");
    });
    await monit("stop", "all");
    await run([]);
    await monit("quit");
    await until("monit is gone", async () => !(await isThere(local, "monit", "monit.pid")));
    await monit();
    await run(NAMES);
    await until("it serves after the second start", () => isWritten(stack), LONG_MS);
    await runCommand(process.execPath, [binPath("twine-stop", "infra")], { cwd: local.folder });
    await run([]);
    await monit("quit");
  }, 600_000);
});

async function setUp(local: LocalFolder): Promise<void> {
  const command = [binPath("twine-setup", "infra")];
  const { code, stderr } = await runCommand(process.execPath, command, { cwd: local.folder });
  expect(code, stderr).toBe(0);
}

function isThere(local: LocalFolder, ...path: string[]): Promise<boolean> {
  return local.read(...path).then(
    () => true,
    () => false,
  );
}

interface OnMachine extends Stack {
  readonly machine: SystemdMachine;
  pid(name: string): Promise<number>;
}

/** `as`: the words before each command: none for root, or those that make it the user twine's. */
async function onMachine(as: readonly string[]): Promise<OnMachine> {
  const machine = await systemdMachine();
  const ports = new Map<string, number>();
  for (const name of [...NAMES, "stats"]) ports.set(name, await freePort());
  const port = (name: string): number => ports.get(name) ?? 0;
  const own = join(machine.root, FOLDER);
  await mkdir(own);
  const text = conf("supervisor systemd").replace(/\{(\w+)\}/g, (_, name: string) =>
    String(port(name)),
  );
  await writeFile(join(own, "twine.conf"), text);
  await chown(own, TWINE_UID, TWINE_UID);
  const systemctl = [...as, "systemctl", ...(as.length === 0 ? [] : ["--user"])];
  const redisCli: Stack["redisCli"] = (at, ...command) =>
    machine.run("redis-cli", "-p", String(at), ...command);
  const pid = async (name: string): Promise<number> => {
    const [program = "", ...words] = systemctl;
    const unit = `twine-stack-${name}.service`;
    return Number((await machine.run(program, ...words, "show", "-P", "MainPID", unit)).stdout);
  };
  return { machine, port, redisCli, pid };
}

async function expectUnits(stack: OnMachine, as: readonly string[]): Promise<void> {
  const { machine } = stack;
  const run = async (...words: string[]): Promise<Ran> => {
    const [program = "", ...args] = [...as, ...words];
    const ran = await machine.run(program, ...args);
    expect(ran.code, `${words.join(" ")}\n${ran.stdout}${ran.stderr}`).toBe(0);
    return ran;
  };
  const tool = (name: string, ...args: string[]): Promise<Ran> =>
    run(process.execPath, binPath(name, "infra"), ...args, "--conf", `${FOLDER}/twine.conf`);
  const isUsers = as.length > 0;
  const systemctl = ["systemctl", ...(isUsers ? ["--user"] : [])];
  const { stdout } = await tool("twine-setup", "--install-units");
  const folder = isUsers ? "/srv/.config/systemd/user" : "/etc/systemd/system";
  expect(stdout).toContain(`5 units written to ${folder}`);
  const target = "twine-stack-localhost.target";
  const verify = ["systemd-analyze", ...(isUsers ? ["--user"] : []), "verify"];
  // With --user it also runs generators that are none of ours.
  expect((await run(...verify, `${folder}/${target}`)).stderr).not.toMatch(/twine-stack/);
  await run(...systemctl, "start", target);
  await until("it serves", () => isWritten(stack), LONG_MS);
  for (const name of ["proxy", "watch", "a2"]) {
    const pid = await stack.pid(name);
    await run("kill", "-9", String(pid));
    await until(`${name} is back`, async () => ![0, pid].includes(await stack.pid(name)), LONG_MS);
  }
  await until("it serves again", () => isWritten(stack), LONG_MS);
  await expectReplaced(stack, async (name) => {
    await run("kill", "-9", String(await stack.pid(name)));
  });
  // A stop asks Sentinel for a failover first; the tools call systemctl.
  await untilInSync(stack);
  const master = (await masterName(stack)) ?? "";
  expect((await tool("twine-stop", master)).stdout).toMatch(/1 stopped/);
  expect(await masterName(stack)).toBe(master === "a1" ? "a2" : "a1");
  await until("it serves the other", () => isWritten(stack), LONG_MS);
  expect(await stack.pid(master)).toBe(0);
  expect((await tool("twine-start", master)).stderr).toMatch(/1 started|^$/);
  expect(await stack.pid(master)).not.toBe(0);
  await run(...systemctl, "stop", target);
  for (const name of NAMES) {
    await until(`${name} is stopped`, async () => (await stack.pid(name)) === 0, LONG_MS);
  }
}

describe.skipIf(
  !hasSystemd || isMissing("redis-server", "redis-cli", "nutcracker", "systemd-analyze"),
)("systemd", () => {
  test("units of the system: start, verify, restart, replace a master, hand over", async () => {
    await expectUnits(await onMachine([]), []);
  }, 600_000);

  test("units of a user: systemctl --user does the same without root", async () => {
    const as = [
      ...["setpriv", `--reuid=${TWINE_UID}`, `--regid=${TWINE_UID}`, "--clear-groups", "env"],
      ...["HOME=/srv", `XDG_RUNTIME_DIR=/run/user/${TWINE_UID}`],
    ];
    const stack = await onMachine(as);
    const { machine } = stack;
    await chown(join(machine.root, "srv"), TWINE_UID, TWINE_UID);
    await machine.run("mkdir", "-p", `/run/user/${TWINE_UID}`);
    await machine.run("chown", `${TWINE_UID}:${TWINE_UID}`, `/run/user/${TWINE_UID}`);
    await machine.run("chmod", "700", `/run/user/${TWINE_UID}`);
    // Neither logind, which makes that folder, nor PAM's configuration is there.
    const units = join(machine.root, "etc/systemd/system");
    const asNothing = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n";
    await writeFile(join(units, "user-runtime-dir@.service"), asNothing);
    await mkdir(join(units, "user@.service.d"));
    const own = `[Service]\nPAMName=\nEnvironment=XDG_RUNTIME_DIR=/run/user/${TWINE_UID}\n`;
    await writeFile(join(units, "user@.service.d/own.conf"), own);
    await machine.run("systemctl", "daemon-reload");
    const begun = await machine.run("systemctl", "start", `user@${TWINE_UID}.service`);
    const log = await machine.run("journalctl", "-n", "40", "--no-pager");
    expect(begun.code, begun.stderr + log.stdout).toBe(0);
    await expectUnits(stack, as);
  }, 600_000);
});
