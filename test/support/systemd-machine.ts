// systemd-machine.ts: a real systemd as PID 1 of namespaces of its own, with a root folder of its own. Nothing of this
// machine can be written from inside: /usr and the repository are read-only, /tmp, /etc, /run and /dev are its own, /proc/sys
// and /sys are read-only, and its control groups lie below one that is made for it.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import {
  chmod,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rm,
  rmdir,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { until } from "./redis-server.ts";
import { runCommand, type Ran } from "./run-tool.ts";
import { ROOT } from "./source-files.ts";

const CGROUP2 = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].find((path) =>
  existsSync(join(path, "cgroup.procs")),
);

/** Whether such a machine can be made here. */
export const hasSystemd =
  process.platform === "linux" &&
  process.getuid?.() === 0 &&
  existsSync("/lib/systemd/systemd") &&
  existsSync("/usr/bin/unshare") &&
  CGROUP2 !== undefined;

const BOOT = `
set -e
echo $$ > "$GROUP/cgroup.procs"
exec unshare --mount --pid --fork --uts --ipc --cgroup --kill-child sh -e -c '
  mount --make-rprivate /
  mount --bind "$R" "$R"
  for each in /usr "$REPO"; do
    mount --bind "$each" "$R$each"
    mount -o remount,bind,ro "$R$each"
  done
  mount -t proc proc "$R/proc"
  mount --bind "$R/proc/sys" "$R/proc/sys"
  mount -o remount,bind,ro "$R/proc/sys"
  mount -t sysfs -o ro sysfs "$R/sys"
  mount -t cgroup2 cgroup2 "$R/sys/fs/cgroup"
  mount -t tmpfs -o mode=755 tmpfs "$R/run"
  mount -t tmpfs -o mode=755 tmpfs "$R/dev"
  mkdir "$R/dev/shm" "$R/dev/pts"
  # Nodes of its own: systemd changes the mode of its console.
  mknod -m 666 "$R/dev/null" c 1 3
  mknod -m 666 "$R/dev/zero" c 1 5
  mknod -m 666 "$R/dev/full" c 1 7
  mknod -m 666 "$R/dev/random" c 1 8
  mknod -m 666 "$R/dev/urandom" c 1 9
  mknod -m 666 "$R/dev/tty" c 5 0
  mknod -m 600 "$R/dev/console" c 1 3
  cd "$R"
  exec setpriv --bounding-set -sys_module,-sys_time,-sys_boot,-mknod,-syslog \\
    env -i container=twine PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
    chroot "$R" /lib/systemd/systemd --system --log-target=null
'
`;

/** What a test has no use for. */
const UNNEEDED = [
  ...["dbus.service", "dbus.socket", "systemd-logind.service", "getty.target"],
  ...["systemd-update-utmp.service", "systemd-update-utmp-runlevel.service"],
];

export interface SystemdMachine {
  /** The machine's / as seen from outside. */
  readonly root: string;
  /** A command in it, as root. */
  run(program: string, ...args: string[]): Promise<Ran>;
  /** Ends everything in it, and boots it again with the same files. */
  reboot(): Promise<void>;
}

/** `etc`: more files below /etc, by name. The user twine (uid 12345) is there. */
export async function systemdMachine(): Promise<SystemdMachine> {
  const root = await mkdtemp(join(tmpdir(), "twine-systemd-"));
  // It is the machine's /, which every user passes.
  await chmod(root, 0o755);
  const group = join(CGROUP2 ?? "", `twine-test-${process.pid}-${Date.now()}`);
  const folders = ["usr", "etc/systemd/system", "run", "tmp", "var/log", "var/lib", "root", "srv"];
  for (const folder of [...folders, "proc", "sys", "dev", ROOT]) {
    await mkdir(join(root, folder), { recursive: true });
  }
  for (const link of ["bin", "sbin", "lib", "lib64"])
    await symlink(`usr/${link}`, join(root, link));
  const files = {
    passwd: "root:x:0:0::/root:/bin/sh\ntwine:x:12345:12345::/srv:/bin/sh\n",
    group: "root:x:0:\ntwine:x:12345:\n",
    hosts: "127.0.0.1 localhost\n",
    "machine-id": "",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
  };
  for (const [name, text] of Object.entries(files)) await writeFile(join(root, "etc", name), text);
  for (const unit of UNNEEDED) await symlink("/dev/null", join(root, "etc/systemd/system", unit));
  await symlink(
    "/usr/lib/systemd/system/multi-user.target",
    join(root, "etc/systemd/system/default.target"),
  );
  await runCommand("cp", ["-a", "/etc/ld.so.cache", join(root, "etc")], { cwd: "/" });
  let boot: ChildProcess | undefined;
  let init = 0;
  const run = (program: string, ...args: string[]): Promise<Ran> =>
    runCommand(
      "nsenter",
      [
        ...["--target", String(init), "--mount", "--pid", "--uts", "--ipc", "--cgroup"],
        ...[`--root=/proc/${init}/root`, "--wd=/", "env", "-i", "HOME=/root"],
        ...["PATH=/usr/sbin:/usr/bin:/sbin:/bin", program, ...args],
      ],
      { cwd: "/" },
    );
  const start = async (): Promise<void> => {
    await mkdir(group);
    const env = { ...process.env, R: root, REPO: ROOT, GROUP: group };
    boot = spawn("sh", ["-c", BOOT], { env, stdio: ["ignore", "inherit", "inherit"] });
    const pid = boot.pid ?? 0;
    await until("PID 1 is there", async () => {
      const children = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
      init = Number(children.trim().split(" ")[0]);
      const name = await readFile(`/proc/${init}/comm`, "utf8").catch(() => "");
      return name.trim() === "systemd";
    });
    await until(
      "systemd answers",
      async () => /running|degraded/.test((await run("systemctl", "is-system-running")).stdout),
      60_000,
    );
  };
  const end = async (): Promise<void> => {
    if (boot !== undefined && boot.exitCode === null && boot.signalCode === null) {
      const gone = once(boot, "exit");
      // PID 1 of the namespace: all others in it end with it.
      if (init > 1) process.kill(init, "SIGKILL");
      await gone;
    }
    await until("its control groups are empty", () => removeGroups(group));
  };
  onTestFinished(async () => {
    await end();
    await rm(root, { recursive: true, force: true });
  });
  await start();
  return {
    root,
    run,
    reboot: async () => {
      await end();
      await start();
    },
  };
}

async function removeGroups(group: string): Promise<boolean> {
  const entries = await readdir(group, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) if (entry.isDirectory()) await removeGroups(join(group, entry.name));
  return rmdir(group).then(
    () => true,
    () => !existsSync(group),
  );
}
