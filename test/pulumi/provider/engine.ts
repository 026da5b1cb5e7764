// engine.ts: from the arguments of a docker.Provider to a connection to its Docker engine.
// unix://, tcp:// (with TLS when there are certificates) and ssh://, as the real provider speaks it: each connection is
// `ssh HOST docker system dial-stdio`.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import Docker from "dockerode";
import { SshAgent } from "./ssh-agent.ts";
import { text, texts, type Bag } from "./values.ts";

const PING_TIMEOUT_MS = 4000;
const DEFAULT_HOST = "unix:///var/run/docker.sock";

/** @throws Error when the scheme is not one the stand-in speaks. */
export function openEngine(args: Bag, limits: { timeout?: number } = {}): Docker {
  const host = text(args["host"]) ?? DEFAULT_HOST;
  if (host.startsWith("unix://")) {
    return new Docker({ ...limits, socketPath: host.slice("unix://".length) });
  }
  const url = new URL(host);
  if (url.protocol === "ssh:") {
    // ssh has limits of its own (ConnectTimeout), and its pipe takes none.
    const agent = new SshAgent(url, texts(args["sshOpts"]) ?? []);
    const through = { agent, protocol: "http" as const, host: "docker", port: 80 };
    return new Docker(through);
  }
  if (url.protocol !== "tcp:") throw new Error(`the stand-in provider can't reach ${host}`);
  const place = { ...limits, host: url.hostname, port: Number(url.port || "2375") };
  const folder = text(args["certPath"]);
  const read = (name: string, material: string): string | undefined =>
    text(args[material]) ??
    (folder === undefined ? undefined : readFileSync(join(folder, name), "utf8"));
  const [ca, cert, key] = [
    read("ca.pem", "caMaterial"),
    read("cert.pem", "certMaterial"),
    read("key.pem", "keyMaterial"),
  ];
  if (ca === undefined || cert === undefined || key === undefined) {
    return new Docker({ ...place, protocol: "http" });
  }
  return new Docker({ ...place, protocol: "https", ca, cert, key });
}

/** As the real provider does when it is configured: a dead engine is an error at once, and at preview too. */
export async function pingEngine(args: Bag): Promise<void> {
  try {
    await openEngine(args, { timeout: PING_TIMEOUT_MS }).ping();
  } catch (cause) {
    const host = text(args["host"]) ?? DEFAULT_HOST;
    throw new Error(
      `failed to connect to any docker daemon: ${host}: ${cause instanceof Error ? cause.message : "?"}`,
      { cause },
    );
  }
}

export function isGone(error: unknown): boolean {
  return statusOf(error) === 404;
}

export function statusOf(error: unknown): number | undefined {
  if (typeof error !== "object" || error === null || !("statusCode" in error)) return undefined;
  return typeof error.statusCode === "number" ? error.statusCode : undefined;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
