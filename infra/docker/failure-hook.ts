// failure-hook.ts: when something can't be made, tells why and what to do. The provider says "container failed to be in
// healthy state" and no more: the reason stands in the container's log, on some host.
//
//   create fails -> Pulumi calls the hook -> the engine: inspect, logs -> one message with the remedy
//
// It asks the host's engine in a bounded time; where that does not answer, the remedy says where to look. It never
// retries and changes nothing, so it can make no failure worse.
import * as pulumi from "@pulumi/pulumi";
import { askEngine, containerLog } from "./engine-call.ts";
import type { EndpointArgs } from "./endpoints.ts";
import { remedyFor, remedyForPart, type Part, type Place } from "./failure-remedy.ts";

/** A container that may fail, and the component under whose name its failure is told. */
export interface WatchedContainer extends Place {
  readonly endpoint: EndpointArgs;
  readonly component: pulumi.Resource;
  /** The resource of its volume, when it has one. */
  readonly volume: pulumi.Resource | undefined;
  readonly isProtected: boolean;
}

/** An image, volume or network that may fail. */
export interface WatchedPart extends Part {
  readonly component: pulumi.Resource;
}

export type Watched = WatchedContainer | WatchedPart;

/** The docker provider's names of what is watched. */
export const WATCHED_TYPES = Object.freeze({
  container: "docker:index/container:Container",
  volume: "docker:index/volume:Volume",
  network: "docker:index/network:Network",
  image: "docker:index/remoteImage:RemoteImage",
  build: "docker:index/image:Image",
});

const LOG_LINES = 40;
const SHOWN_LINES = 6;

/** Where `watched` has a resource. */
export function watchKey(kind: keyof typeof WATCHED_TYPES, name: string): string {
  return `${WATCHED_TYPES[kind]} ${name}`;
}

/** The hook of one cluster's resources; `watched` is filled while they are made, by watchKey. */
export function failureHook(
  cluster: string,
  watched: ReadonlyMap<string, Watched>,
): pulumi.ErrorHook {
  return new pulumi.ErrorHook(`${cluster}-failure`, async (failed) => {
    const one = watched.get(`${failed.type} ${failed.name}`);
    if (one === undefined || failed.failedOperation === "delete") return false;
    const told =
      "container" in one
        ? await explain(one, failed.errors, failed.urn)
        : `${one.what} can't be had on ${one.host}\n  remedy: ${remedyForPart(one, failed.errors)}`;
    await pulumi.log.error(told, one.component);
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
  // A container of the same name that is not this one has nothing to say about it.
  const said = owner === one.cluster ? [...lastLines(log), ...lastCheck(state?.Health?.Log)] : [];
  const volume = one.volume === undefined ? undefined : await urnOf(one.volume);
  const urns = { container: urn, volume };
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
