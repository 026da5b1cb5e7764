// port-holder.ts: is a port free, and if not, which process has it?
// Linux: /proc/net/tcp{,6} gives the socket's inode, /proc/PID/fd the process that holds it. Elsewhere: lsof.
import { execFile } from "node:child_process";
import { readFile, readdir, readlink } from "node:fs/promises";
import { createServer } from "node:net";
import { promisify } from "node:util";
import { systemCode } from "../files/files.ts";
import { commandOf } from "./processes.ts";
import { errorText } from "../../../runtime/core/error-text.ts";

const run = promisify(execFile);

export type PortState =
  | { readonly kind: "free" }
  | { readonly kind: "taken" }
  /** EADDRNOTAVAIL, ENOTFOUND, EACCES and the like: the address or the port can't be used at all. */
  | { readonly kind: "unusable"; readonly why: string };

/** Listens for a moment: only the system itself gives a reliable answer. */
export async function portState(address: string, port: number): Promise<PortState> {
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host: address, port, exclusive: true }, resolve);
    });
    await new Promise((resolve) => server.close(resolve));
    return { kind: "free" };
  } catch (error) {
    if (systemCode(error) === "EADDRINUSE") return { kind: "taken" };
    return { kind: "unusable", why: errorText(error) };
  }
}

export interface PortHolder {
  readonly pid: number;
  readonly command: string;
}

/** The processes that listen on each of these ports, as far as this user may see them. */
export async function portHolders(
  ports: ReadonlySet<number>,
): Promise<ReadonlyMap<number, PortHolder>> {
  const pids = process.platform === "linux" ? await linuxHolders(ports) : await lsofHolders(ports);
  const named = [...pids].map(async ([port, pid]): Promise<[number, PortHolder]> => [
    port,
    { pid, command: (await commandOf(pid)) ?? "its command can't be read" },
  ]);
  return new Map(await Promise.all(named));
}

async function linuxHolders(ports: ReadonlySet<number>): Promise<Map<number, number>> {
  const portOfInode = new Map<string, number>();
  for (const table of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    const text = await readFile(table, "utf8").catch(() => "");
    for (const line of text.split("\n").slice(1)) {
      const [, local = "", , state, , , , , , inode = ""] = line.trim().split(/\s+/);
      const port = Number.parseInt(local.split(":")[1] ?? "", 16);
      // 0A is LISTEN.
      if (state === "0A" && ports.has(port)) portOfInode.set(`socket:[${inode}]`, port);
    }
  }
  const found = new Map<number, number>();
  if (portOfInode.size === 0) return found;
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    for (const link of await linksOf(`/proc/${pid}/fd`)) {
      const port = portOfInode.get(link);
      if (port !== undefined) found.set(port, Number(pid));
    }
  }
  return found;
}

async function linksOf(folder: string): Promise<string[]> {
  try {
    const names = await readdir(folder);
    return await Promise.all(names.map((name) => readlink(`${folder}/${name}`).catch(() => "")));
  } catch {
    // Another user's process, or one that has just ended.
    return [];
  }
}

async function lsofHolders(ports: ReadonlySet<number>): Promise<Map<number, number>> {
  const found = new Map<number, number>();
  for (const port of ports) {
    try {
      const { stdout } = await run("lsof", ["-nP", "-t", `-iTCP:${port}`, "-sTCP:LISTEN"]);
      const pid = Number(stdout.trim().split("\n")[0]);
      if (pid > 0) found.set(port, pid);
    } catch {
      // lsof is missing, or this user may not see the process.
    }
  }
  return found;
}
