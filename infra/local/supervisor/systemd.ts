// systemd.ts: starts and stops nodes under systemd by systemctl: systemd restarts processes that are stopped in another
// way.
import { execFile } from "node:child_process";
import { access, readFile, readdir, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { TwineError } from "../../../runtime/core/errors.ts";
import { unitName } from "../../plan/unit-files.ts";
import type { LocalContext } from "../context.ts";
import { readIfThere, writeWhole } from "../files/files.ts";
import { hostFolder } from "../files/layout.ts";

const run = promisify(execFile);

export interface Unit {
  /** With its suffix. */
  readonly name: string;
  /** A unit of `systemctl --user`. */
  readonly isUsers: boolean;
}

/** The Twine unit that the process belongs to, by its control group; undefined: none. */
export async function unitOfProcess(pid: number): Promise<Unit | undefined> {
  const text = await readFile(`/proc/${pid}/cgroup`, "utf8").catch(() => "");
  const name = /\/(twine-[^/\n]+\.service)$/m.exec(text)?.[1];
  return name === undefined ? undefined : { name, isUsers: /\/user@\d+\.service\//.test(text) };
}

/** The folder of units: the system's for root, otherwise the user's own. */
export function unitsFolder(): string {
  return process.getuid?.() === 0
    ? "/etc/systemd/system"
    : join(process.env["XDG_CONFIG_HOME"] ?? join(homedir(), ".config"), "systemd/user");
}

/** The node's unit, when supervisor is systemd and the unit is installed. */
export async function unitOfNode(context: LocalContext, node: string): Promise<Unit | undefined> {
  if (context.supervisor !== "systemd") return undefined;
  const name = `${unitName(context.plan.cluster, node)}.service`;
  return access(join(unitsFolder(), name)).then(
    () => ({ name, isUsers: process.getuid?.() !== 0 }),
    () => undefined,
  );
}

/** Returns when systemd has started or stopped the unit. Throws UNIT_FAILED. */
export async function systemctl(verb: "start" | "stop", unit: Unit): Promise<void> {
  await call([verb, unit.name], unit.isUsers);
}

async function call(words: readonly string[], isUsers: boolean): Promise<void> {
  const args = [...(isUsers ? ["--user"] : []), ...words];
  try {
    await run("systemctl", args);
  } catch (cause) {
    const said = cause instanceof Error && "stderr" in cause ? String(cause.stderr).trim() : "";
    const why = said === "" && cause instanceof Error ? cause.message : said;
    const unit = words.at(-1) ?? "";
    throw new TwineError(
      {
        code: "UNIT_FAILED",
        message: `systemctl ${args.join(" ")}: ${why}`,
        remedy:
          !isUsers && process.getuid?.() !== 0
            ? "units of the system are started and stopped by root: run it with sudo"
            : `see journalctl ${isUsers ? "--user " : ""}-u ${unit}; without systemd use supervisor none or monit`,
      },
      { cause },
    );
  }
}

export interface InstalledUnits {
  readonly folder: string;
  readonly target: string;
  /** Names of units that were written because they were missing or differed. */
  readonly written: readonly string[];
  /** Units of this cluster whose nodes twine.conf no longer has. */
  readonly stale: readonly string[];
}

/** Copies the host's units to systemd's folder and enables its target at boot. */
export async function installUnits(context: LocalContext, host: string): Promise<InstalledUnits> {
  const from = join(hostFolder(context.folder, host), "systemd");
  const folder = unitsFolder();
  const names = await unitFilesIn(from);
  const planned = new Set(
    context.plan.hosts.flatMap(({ name, services }) => [
      `${unitName(context.plan.cluster, name)}.target`,
      ...services.map((service) => `${unitName(context.plan.cluster, service.name)}.service`),
    ]),
  );
  const written: string[] = [];
  for (const name of names.filter((unit) => planned.has(unit))) {
    const text = (await readIfThere(join(from, name))) ?? "";
    if ((await readIfThere(join(folder, name))) === text) continue;
    await writeWhole(join(folder, name), text, 0o644);
    written.push(name);
  }
  const prefix = unitName(context.plan.cluster, "");
  const there = await readdir(folder).catch(() => []);
  const stale = there.filter(
    (name) => name.startsWith(prefix) && /\.(service|target)$/.test(name) && !planned.has(name),
  );
  const isUsers = process.getuid?.() !== 0;
  const target = `${unitName(context.plan.cluster, host)}.target`;
  await call(["daemon-reload"], isUsers);
  await call(["enable", target], isUsers);
  return { folder, target, written, stale };
}

async function unitFilesIn(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => /\.(service|target)$/.test(name));
}

/** Whether the host's units were installed. */
export async function hasUnits(context: LocalContext, host: string): Promise<boolean> {
  if (context.supervisor !== "systemd") return false;
  const target = `${unitName(context.plan.cluster, host)}.target`;
  return (await readIfThere(join(unitsFolder(), target))) !== undefined;
}

/** Whether the host's units were installed, and some of them now have another text, or are missing. */
export async function hasOtherUnits(context: LocalContext, host: string): Promise<boolean> {
  if (!(await hasUnits(context, host))) return false;
  const from = join(hostFolder(context.folder, host), "systemd");
  for (const name of await unitFilesIn(from).catch(() => [])) {
    const [wanted, installed] = [join(from, name), join(unitsFolder(), name)];
    if ((await readIfThere(wanted)) !== (await readIfThere(installed))) return true;
  }
  return false;
}

/** Removes the installed unit of a node that has left twine.conf; it must have been stopped. */
export async function removeUnit(context: LocalContext, node: string): Promise<void> {
  const path = join(unitsFolder(), `${unitName(context.plan.cluster, node)}.service`);
  if ((await readIfThere(path)) === undefined) return;
  await rm(path, { force: true });
  await call(["daemon-reload"], process.getuid?.() !== 0);
}
