// failure-hook.ts: when a resource can't be created, logs the reason and the remedy. The provider only reports "container
// failed to be in healthy state"; the reason is in the container's log, on some host.
//
//   create fails -> Pulumi calls the hook -> the engine: inspect, logs -> one message with the remedy
//
// It asks the host's engine within a time limit. Without an answer the remedy names where to look. It never retries and
// changes nothing.
import * as pulumi from "@pulumi/pulumi";
import { askEngine, containerLog } from "./engine-call.ts";
import type { EndpointArgs } from "./endpoints.ts";
import { remedyFor, remedyForPart, type Part, type Place } from "./failure-remedy.ts";

/** A container that may fail, and the component with which its failure is logged. */
export interface WatchedContainer extends Place {
  readonly endpoint: EndpointArgs;
  readonly component: pulumi.Resource;
  /** The resource of its volume, if it has one. */
  readonly volume: pulumi.Resource | undefined;
  readonly isProtected: boolean;
}

/** An image, volume or network that may fail. */
export interface WatchedPart extends Part {
  readonly component: pulumi.Resource;
}

export type Watched = WatchedContainer | WatchedPart;

/** The docker provider's type names of the watched resources. */
export const WATCHED_TYPES = Object.freeze({
  container: "docker:index/container:Container",
  volume: "docker:index/volume:Volume",
  network: "docker:index/network:Network",
  image: "docker:index/remoteImage:RemoteImage",
  build: "docker:index/image:Image",
});

const LOG_LINES = 40;
const SHOWN_LINES = 6;

/** The key of a resource in `watched`. */
export function watchKey(kind: keyof typeof WATCHED_TYPES, name: string): string {
  return `${WATCHED_TYPES[kind]} ${name}`;
}

/** The hook of one cluster's resources; `watched` is filled while they are created, by watchKey. */
export function failureHook(
  cluster: string,
  watched: ReadonlyMap<string, Watched>,
): pulumi.ErrorHook {
  return new pulumi.ErrorHook(`${cluster}-failure`, async (failed) => {
    const one = watched.get(`${failed.type} ${failed.name}`);
    if (one === undefined || failed.failedOperation === "delete") return false;
    const report =
      "container" in one
        ? await explain(one, failed.errors, failed.urn)
        : `${one.what} can't be created on ${one.host}\n  remedy: ${remedyForPart(one, failed.errors)}`;
    await pulumi.log.error(report, one.component);
    return false;
  });
}

/** Whether this is Pulumi's engine: its own test mode (setMocks) has no hooks. */
export function hasHooks(): boolean {
  const monitor: object | undefined = pulumi.runtime.getMonitor();
  return monitor !== undefined && "registerErrorHook" in monitor;
}

interface Inspected {
  readonly Config?: { readonly Labels?: Readonly<Record<string, string>> | null };
  readonly State?: { readonly Health?: { readonly Log?: readonly Check[] | null } };
}

interface Check {
  readonly Output?: string;
}

async function explain(
  one: WatchedContainer,
  errors: readonly string[],
  urn: string,
): Promise<string> {
  const { container, host, node, endpoint, isProtected } = one;
  const [found, log] = await Promise.all([
    askEngine(endpoint, `/containers/${container}/json`).catch(() => undefined),
    containerLog(endpoint, container, LOG_LINES).catch(() => ""),
  ]);
  const { Config: config, State: state } = (found ?? {}) as Inspected;
  const owner = found === undefined ? undefined : (config?.Labels?.["twine.cluster"] ?? "");
  // The log of another container with the same name does not explain this failure.
  const said = owner === one.cluster ? [...lastLines(log), ...lastCheck(state?.Health?.Log)] : [];
  const volume = one.volume === undefined ? undefined : await urnOf(one.volume);
  const urns = { container: urn, volume };
  const remedy = remedyFor(one, { errors, said: said.join("\n"), owner, urns, isProtected });
  const words = said.map((line) => `\n    ${line}`).join("");
  const heard = said.length === 0 ? "" : `; its last log lines:${words}\n`;
  return `${node} can't be created (container ${container} on ${host})${heard}\n  remedy: ${remedy}`;
}

/** For a container that restarts again and again: each line once, the latest. */
function lastLines(log: string): string[] {
  const lines = log.split("\n").map((line) => line.trim());
  const distinct = new Map(lines.map((line) => [line.replace(/\d/g, ""), line]));
  return [...distinct.values()].filter((line) => line !== "").slice(-SHOWN_LINES);
}

function lastCheck(checks: readonly Check[] | null | undefined): string[] {
  const output = checks?.at(-1)?.Output?.trim() ?? "";
  return output === "" ? [] : [`health check: ${output}`];
}

function urnOf(resource: pulumi.Resource): Promise<string> {
  return new Promise((resolve) => {
    resource.urn.apply((urn) => {
      resolve(urn);
    });
  });
}
