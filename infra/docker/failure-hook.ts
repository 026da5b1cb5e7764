// failure-hook.ts: when a container can't be made, tells why. The provider says "container failed to be in healthy state"
// and no more: the reason stands in the container's log, on some host.
//
//   create fails -> Pulumi calls the hook -> docker inspect, docker logs -> one message with the remedy
//
// It asks by this machine's own docker program where there is one, in a bounded time; without one the remedy says where
// to look. It never retries and changes nothing, so it can make no failure worse.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import * as pulumi from "@pulumi/pulumi";
import { remedyFor, type Place } from "./failure-remedy.ts";
import type { EndpointArgs } from "./endpoints.ts";

/** A container that may fail, and the component under whose name its failure is told. */
export interface Watched extends Place {
  readonly endpoint: EndpointArgs;
  readonly component: pulumi.Resource;
  /** The resource of its volume, when it has one. */
  readonly volume: pulumi.Resource | undefined;
  readonly isProtected: boolean;
}

const run = promisify(execFile);
const ASK_WITHIN_MS = 15_000;
const LOG_LINES = 40;
const SHOWN_LINES = 6;

/**
 * The hook of one cluster's containers; `watched` is filled while they are made, by the container's name.
 * Undefined where Pulumi has no such hooks: in its own test mode (setMocks).
 */
export function failureHook(
  cluster: string,
  watched: ReadonlyMap<string, Watched>,
): pulumi.ErrorHook | undefined {
  const monitor: object | undefined = pulumi.runtime.getMonitor();
  if (monitor === undefined || !("registerErrorHook" in monitor)) return undefined;
  return new pulumi.ErrorHook(`${cluster}-failure`, async (failed) => {
    const inputs = (failed.newInputs ?? {}) as { name?: unknown };
    const one = watched.get(String(inputs.name));
    if (one !== undefined && failed.failedOperation !== "delete") {
      await pulumi.log.error(await explain(one, failed.errors, failed.urn), one.component);
    }
    return false;
  });
}

async function explain(one: Watched, errors: readonly string[], urn: string): Promise<string> {
  const { container, host, node } = one;
  const [owner, health, log] = await Promise.all([
    ask(one, "inspect", "--format", '{{index .Config.Labels "twine.cluster"}}', container),
    ask(one, "inspect", "--format", "{{with .State.Health}}{{json .Log}}{{end}}", container),
    ask(one, "logs", "--tail", String(LOG_LINES), container),
  ]);
  // A container of the same name that is not this one has nothing to say about it.
  const isItsOwn = owner === one.cluster;
  const said = isItsOwn ? [...lastLines(log ?? ""), ...lastCheck(health ?? "")] : [];
  const volume = one.volume === undefined ? undefined : await urnOf(one.volume);
  const urns = { container: urn, volume };
  const { isProtected } = one;
  const remedy = remedyFor(one, { errors, said: said.join("\n"), owner, urns, isProtected });
  const words = said.map((line) => `\n    ${line}`).join("");
  const heard = said.length === 0 ? "" : `; what it says itself:${words}\n`;
  return `${node} can't be brought up (container ${container} on ${host})${heard}\n  remedy: ${remedy}`;
}

/** Of a container that starts again and again, each line once, the latest. */
function lastLines(log: string): string[] {
  const lines = log.split("\n").map((line) => line.trim());
  const distinct = new Map(lines.map((line) => [line.replace(/\d/g, ""), line]));
  return [...distinct.values()].filter((line) => line !== "").slice(-SHOWN_LINES);
}

function lastCheck(health: string): string[] {
  try {
    const checks = JSON.parse(health) as readonly { readonly Output?: string }[];
    const output = checks.at(-1)?.Output?.trim() ?? "";
    return output === "" ? [] : [`health check: ${output}`];
  } catch {
    // It was never checked, or docker's program has other words.
    return [];
  }
}

/** What docker answers, both its outputs; undefined when there is no docker here, or it doesn't get there in time. */
async function ask({ endpoint }: Watched, ...args: readonly string[]): Promise<string | undefined> {
  const { certPath } = endpoint;
  const tls =
    certPath === undefined
      ? []
      : [
          "--tlsverify",
          ...["ca", "cert", "key"].map(
            (n) => `--tls${n === "ca" ? "cacert" : n}=${certPath}/${n}.pem`,
          ),
        ];
  try {
    const command = ["-H", endpoint.docker, ...tls, ...args];
    const { stdout, stderr } = await run("docker", command, { timeout: ASK_WITHIN_MS });
    return `${stdout}${stderr}`.trim();
  } catch {
    return undefined;
  }
}

function urnOf(resource: pulumi.Resource): Promise<string> {
  return new Promise((resolve) => {
    resource.urn.apply((urn) => {
      resolve(urn);
    });
  });
}
