// taken.ts: does a monitor or a router use the current password file? One that is down counts as using it.
import { get } from "node:http";
import { connect } from "node:net";
import { failureKindOf } from "../../../runtime/core/failure.ts";
import type { PlannedService } from "../../plan/plan.ts";
import { withNode } from "../ask.ts";
import { askAddress } from "../targets.ts";

const ANSWER_WITHIN_MS = 2000;
const BYTES_MAX = 64 * 1024;

/** Also true for nodes, which live-nodes.ts changes. */
export async function hasTaken(
  service: PlannedService,
  passwords: readonly string[],
): Promise<boolean> {
  const [address, { port }] = [askAddress(service), service.health];
  // A Sentinel is asked and changed as a node is.
  if (service.health.kind === "http") return monitorKnows(address, port, passwords.length);
  if (service.kind !== "router") return true;
  return service.command[0] === "twine-twemproxy"
    ? twemproxyTakes(address, port, passwords)
    : routerTakes(address, port, passwords);
}

/** Its /healthz shows how many passwords it knows. */
async function monitorKnows(address: string, port: number, count: number): Promise<boolean> {
  const text = await healthOf(address, port);
  return text === undefined || new RegExp(`"passwords":${count}\\b`).test(text);
}

function healthOf(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const request = get({ host, port, path: "/healthz", timeout: ANSWER_WITHIN_MS }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
        if (text.length > BYTES_MAX) request.destroy();
      });
      response.on("end", () => {
        resolve(text);
      });
      response.on("error", () => {
        resolve(undefined);
      });
    });
    request.on("timeout", () => request.destroy());
    request.on("error", () => {
      resolve(undefined);
    });
  });
}

/** Whether it accepts a login with each of these. A router that only speaks TLS is not asked. */
async function routerTakes(
  address: string,
  port: number,
  passwords: readonly string[],
): Promise<boolean> {
  for (const password of passwords) {
    try {
      const credentials = { username: "app", password } as const;
      await withNode({ address, port, credentials }, (redis) => redis.call("PING"));
    } catch (error) {
      if (failureKindOf(error) === "login") return false;
    }
  }
  return true;
}

/** twemproxy has one password; any of these will do. It knows neither users nor what client libraries send first. */
async function twemproxyTakes(
  host: string,
  port: number,
  passwords: readonly string[],
): Promise<boolean> {
  for (const password of passwords) {
    const reply = await authReply(host, port, password);
    if (reply === undefined || reply.startsWith("+OK")) return true;
  }
  return false;
}

/** undefined: it does not answer. */
function authReply(host: string, port: number, password: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (reply?: string): void => {
      socket.destroy();
      resolve(reply);
    };
    socket.setTimeout(ANSWER_WITHIN_MS, end);
    socket.on("connect", () => {
      const bytes = Buffer.byteLength(password);
      socket.write(`*2\r\n$4\r\nAUTH\r\n$${bytes}\r\n${password}\r\n`);
    });
    socket.on("data", (chunk) => {
      end(chunk.toString("latin1"));
    });
    socket.on("error", () => {
      end();
    });
    socket.on("close", () => {
      end();
    });
  });
}
