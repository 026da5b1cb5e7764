// taken.ts: does a monitor or a router use the current password file? One that is down counts as using it.
import { get } from "node:http";
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
  if (service.kind === "monitor") return monitorKnows(address, port, passwords.length);
  return service.kind !== "router" || routerTakes(address, port, passwords);
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
