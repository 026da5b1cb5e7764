// live-cluster.ts: decides which changes of twine.conf are applied to the running containers of one cluster, and when.
//
//   files of the plan ──▶ can the container take them while it runs? ─ no ─▶ its uploads change: Pulumi replaces it
//                                    └ yes ─▶ its uploads stay as in the state; once it exists, and everything it waits for
//                                             is ready, its files and its process are changed (apply-files.ts)
//
// Why not in the state: a changed upload always replaces the container. The files in a container are compared with the plan
// at every `up`, so the next `up` finishes an interrupted one, and replaces files that were edited by hand.
import { createHash } from "node:crypto";
import type * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { credentialsOf } from "../../../runtime/core/credentials.ts";
import { errorText } from "../../../runtime/core/error-text.ts";
import { TwineError } from "../../../runtime/core/errors.ts";
import { runsRedis } from "../../../runtime/core/cluster.ts";
import { containerChange } from "../../plan/container-change.ts";
import type { Plan, PlannedService } from "../../plan/plan.ts";
import type { EndpointArgs } from "../endpoints.ts";
import { askEngine, isMissing } from "../engine-call.ts";
import { hasHooks } from "../failure-hook.ts";
import { refusal } from "../refuse.ts";
import { applyFiles } from "./apply-files.ts";
import { untilAdopted } from "./await-adopted.ts";
import { lastDeployment, type LastUpload } from "./last-deployment.ts";
import { rotate, type RotatedService } from "./rotate.ts";
import { isRunning, textsOf, wantedFiles } from "./running-files.ts";
import type { RedisAccess } from "./set-settings.ts";

type Upload = docker.types.input.ContainerUpload;

export interface LiveService {
  /** The name of its resource. */
  readonly resource: string;
  readonly service: PlannedService;
  readonly endpoint: EndpointArgs;
  readonly uploads: readonly Upload[];
  /** The valid passwords, the one to use first. */
  readonly password: pulumi.Output<readonly string[]> | undefined;
}

/** Whether files are changed in running containers at all: not in Pulumi's own test mode. */
export function isLive(): boolean {
  return hasHooks();
}

/**
 * The files and labels with which the container is made; `rest`: its other arguments. If the running container can apply
 * the difference and nothing else replaces it, they stay as in the state. A new container gets the files of the plan.
 */
export function filesAndLabels(
  live: LiveService,
  rest: docker.ContainerArgs,
): Pick<docker.ContainerArgs, "uploads" | "labels"> {
  const { resource, service, endpoint } = live;
  const made = { label: MADE, value: digestOf(rest) };
  const labels = [...(rest.labels as Label[]), made];
  if (!isLive()) return { labels, uploads: [...live.uploads] };
  const known = lastDeployment()
    .then(async (all) => {
      const last = all.made(resource);
      const isSame = last?.labels.get(MADE) === made.value;
      return isSame && (await isThere(endpoint, last.name)) ? last : undefined;
    })
    // Not the deployment itself: an output unwraps the value that it gets.
    .then((last) =>
      last === undefined
        ? { uploads: [], image: "", networkMode: "" }
        : { uploads: [...last.uploads], image: last.image, networkMode: last.networkMode },
    );
  const uploads = pulumi
    .all([pulumi.output([...live.uploads]), known, rest.image, rest.networkMode ?? ""])
    .apply(([now, last, image, networkMode]) => {
      if (image !== last.image || networkMode !== last.networkMode) return now;
      const change = containerChange(service, textsIn(last.uploads), textsIn(now as LastUpload[]));
      return change.kind === "running" ? last.uploads : now;
    });
  return { labels, uploads };
}

interface Label {
  readonly label: string;
  readonly value: string;
}

/** A digest of everything that replaces a container besides its files, image and pod. */
const MADE = "twine.made";
/** These are changed in place, or have no effect on an existing container. */
const IN_PLACE = ["memory", "memorySwap", "waitTimeout", "destroyGraceSeconds"];

function digestOf(rest: docker.ContainerArgs): string {
  const omitted = ["uploads", "image", "networkMode", ...IN_PLACE];
  const kept = Object.entries(rest).filter(([name]) => !omitted.includes(name));
  return createHash("sha256").update(JSON.stringify(kept.sort())).digest("hex").slice(0, 16);
}

/** A busy engine that does not answer in time has it still: otherwise the container would be replaced for nothing. */
function isThere(endpoint: EndpointArgs, container: string): Promise<boolean> {
  return askEngine(endpoint, `/containers/${container}/json`).then(
    () => true,
    (error: unknown) => !isMissing(error),
  );
}

function textsIn(uploads: readonly LastUpload[]): Map<string, string> {
  return textsOf(wantedFiles(uploads));
}

/**
 * Resolves when the container exists and its process uses the files of the plan; immediately in a preview. Rejects with the
 * error that ends `up`.
 */
export async function applied(
  live: LiveService,
  container: docker.Container,
  component: pulumi.Resource,
): Promise<void> {
  if (!isLive() || pulumi.runtime.isDryRun()) return;
  const { service, endpoint, password } = live;
  const [id, uploads, secret] = await valueOf(
    pulumi.all([container.id, pulumi.output([...live.uploads]), firstOf(password)]),
  );
  try {
    const changed = await applyFiles({
      container: { endpoint, id },
      service,
      wanted: wantedFiles(uploads as readonly LastUpload[]),
      redis: accessOf(service, password === undefined ? undefined : secret),
    });
    if (changed.length === 0) return;
    await pulumi.log.info(`${service.name} took while it runs: ${changed.join(", ")}`, component);
  } catch (error) {
    refuse(error instanceof TwineError ? error : notChanged(service.name, error));
  }
}

function notChanged(node: string, error: unknown): TwineError {
  return new TwineError(
    {
      code: "DOCKER_NOT_CHANGED",
      message: `what changed can't be brought into the container of ${node}: ${errorText(error)}`,
      remedy:
        "run pulumi up again; with --refresh where a container was stopped or removed by hand",
    },
    { cause: error },
  );
}

function firstOf(passwords: LiveService["password"]): pulumi.Output<string> {
  return passwords === undefined ? pulumi.output("") : passwords.apply(([first = ""]) => first);
}

/** How a redis-server is reached inside its container. */
function accessOf(service: PlannedService, password: string | undefined): RedisAccess {
  const [bind = "127.0.0.1"] = service.bind;
  return {
    address: bind === "0.0.0.0" ? "127.0.0.1" : bind,
    port: runsRedis(service.kind) ? service.health.port : 0,
    passwordOf: (user) => credentialsOf(user, password)?.password,
  };
}

export interface StatusNodeHere {
  readonly live: LiveService;
  readonly container: docker.Container;
  readonly db: number;
}

/** Resolves when the monitors have adopted `plan`'s twine.conf; immediately in a preview. Rejects with the error that ends
    `up`. */
export async function adopted(
  { cluster, confDigest }: Pick<Plan, "cluster" | "confDigest">,
  statusNodes: readonly StatusNodeHere[],
): Promise<void> {
  // With `failover sentinel` there are none, and nobody adopts a twine.conf.
  if (!isLive() || pulumi.runtime.isDryRun() || statusNodes.length === 0) return;
  const asked = statusNodes.map(async ({ live, container, db }) => {
    const { service, endpoint, password } = live;
    const [id, secret] = await valueOf(pulumi.all([container.id, firstOf(password)]));
    const redis = accessOf(service, password === undefined ? undefined : secret);
    return { container: { endpoint, id }, redis, db };
  });
  const nodes = await Promise.all(asked);
  await untilAdopted({
    cluster,
    confDigest,
    statusNodes: nodes,
    withinMs: ADOPTED_WITHIN_MS,
  }).catch(refuse);
}

/** Before that, a removed master is handed over, and a new node copies its data. */
const ADOPTED_WITHIN_MS = 120_000;

export interface PasswordHolder extends Pick<LiveService, "resource" | "service" | "endpoint"> {
  /** Its files with these passwords. */
  readonly uploadsWith: (passwords: readonly string[]) => readonly Upload[];
}

/** Before anything else is changed: all running services change to `passwords`. Does nothing in a preview and without a
    password. */
export async function rotatePassword(
  holders: readonly PasswordHolder[],
  passwords: LiveService["password"],
  component: pulumi.Resource,
): Promise<void> {
  if (!isLive() || pulumi.runtime.isDryRun() || passwords === undefined) return;
  const [wanted, last] = [await valueOf(passwords), await lastDeployment()];
  const known = holders.flatMap(
    ({ resource, service, endpoint, uploadsWith }): RotatedService[] => {
      const made = last.made(resource);
      if (made === undefined) return [];
      const wantedWith = async (list: readonly string[]) =>
        wantedFiles((await valueOf(pulumi.output([...uploadsWith(list)]))) as LastUpload[]);
      return [{ service, container: { endpoint, id: made.name }, wantedWith }];
    },
  );
  const running = await Promise.all(known.map(({ container }) => isRunning(container)));
  const services = known.filter((_, index) => running[index]);
  const away = known.filter((_, index) => running[index] !== true);
  const names = away.map(({ service }) => service.name);
  const say = async (count: number): Promise<void> => {
    const now = count > 1 ? "two passwords count" : "the old password counts no more";
    await pulumi.log.info(`the password is changed: from now on ${now}`, component);
  };
  await rotate(services, names, wanted, say).catch(refuse);
}

function refuse(error: unknown): never {
  throw error instanceof TwineError ? refusal(error.problems, error) : error;
}

/** Never resolves when the resource can't be created: then Pulumi ends the program. */
function valueOf<T>(output: pulumi.Output<T>): Promise<T> {
  return new Promise((resolve) => {
    output.apply((value) => {
      resolve(value);
    });
  });
}
