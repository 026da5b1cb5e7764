// port-claims.ts: ports of 127.0.0.1 that no two test processes of this machine use at the same time. A port is claimed by
// a file that only one process can create; the claim ends with that process.
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";

/** Below the ports that the kernel gives to outgoing connections: one of those could be taken again before its use. */
const FIRST_PORT = 12_000;
const PORT_COUNT = 20_000;

const FOLDER = join(tmpdir(), `twine-test-ports-${userInfo().uid}`);
const claimed = new Set<number>();

/** A port that nobody listens on and that no other test process on this machine was given. */
export async function freePort(): Promise<number> {
  if (claimed.size === 0) openClaims();
  for (;;) {
    const port = FIRST_PORT + Math.floor(Math.random() * PORT_COUNT);
    if (claimed.has(port) || !claim(port)) continue;
    claimed.add(port);
    if (await canListen(port)) return port;
  }
}

function openClaims(): void {
  mkdirSync(FOLDER, { recursive: true });
  process.once("exit", () => {
    for (const port of claimed) rmSync(join(FOLDER, String(port)), { force: true });
  });
  // What processes left that were killed before they could tidy up.
  for (const name of readdirSync(FOLDER)) {
    if (ownerOf(name) === "gone") rmSync(join(FOLDER, name), { force: true });
  }
}

function claim(port: number): boolean {
  try {
    writeFileSync(join(FOLDER, String(port)), String(process.pid), { flag: "wx" });
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  }
}

/** An empty file belongs to a process that is about to write its id into it. */
function ownerOf(name: string): "alive" | "gone" {
  try {
    const pid = Number(readFileSync(join(FOLDER, name), "utf8"));
    if (pid === 0) return "alive";
    process.kill(pid, 0);
    return "alive";
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "ESRCH" ? "gone" : "alive";
  }
}

function canListen(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => {
      resolve(false);
    });
    server.listen(port, "127.0.0.1", () => {
      server.close(() => {
        resolve(true);
      });
    });
  });
}
