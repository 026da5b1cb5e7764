// container-args.ts: one planned service as the arguments of a docker.Container, hardened. Pure but for Pulumi's
// secret values. What can't be had (docs/adr/0007-hardening.md): a read-only root below uploaded files, and a limit on
// the number of processes of one container alone.
//
// Every property is a text that is known before anything runs, but for the image's id and the pod's: were a node's
// property to come from another node, replacing that one would replace them all at once.
import type * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { runsRedis, type NodeKind } from "../../runtime/core/cluster.ts";
import { assert } from "../../runtime/core/errors.ts";
import { CONTAINER_PATHS, HANDOVER_WITHIN_S } from "../plan/container-files.ts";
import type { PlannedFile, PlannedService } from "../plan/plan.ts";
import type { GivenFile } from "../plan/given-files.ts";
import { renderFile } from "../render/render-file.ts";
import type { Given } from "./given-files.ts";
import { CHECK_TIMES, runtimeCheck } from "./runtime-health.ts";

/** The user "redis" of the official images of Redis and Valkey; "node" in Node's. No root, and no name to look up. */
export const REDIS_USER = "999";
export const RUNTIME_USER = "1000";
/** Where infra/image/Dockerfile puts Twine. */
const RUNTIME_FOLDER = "/opt/twine";
const SMTP_PASSWORD_FILE = `${CONTAINER_PATHS.files}/smtp-password`;
const MB = 1024 ** 2;

export interface ContainerInput {
  readonly service: PlannedService;
  readonly files: readonly PlannedFile[];
  readonly templates: ReadonlyMap<string, string>;
  readonly password: pulumi.Output<string> | undefined;
  /** A monitor's, where the mail relay asks for one. */
  readonly smtpPassword: pulumi.Output<string> | undefined;
  /** Name of the container and of its volume. */
  readonly name: string;
  readonly image: pulumi.Input<string>;
  /** "host", or the pod's namespace. */
  readonly networkMode: pulumi.Input<string>;
  /** All addresses instead of those that follow from the host's name. */
  readonly isInPod: boolean;
  readonly extraHosts: readonly { readonly host: string; readonly ip: string }[];
  readonly memoryBytes: number;
  readonly labels: Readonly<Record<string, string>>;
  /** The files that twine.conf names; the plan says which of them this service has. */
  readonly given: Given;
}

/** What every container has, pods included. */
export function hardening(
  memoryBytes: number,
  labels: Readonly<Record<string, string>>,
): Omit<docker.ContainerArgs, "image"> {
  const memoryMb = Math.ceil(memoryBytes / MB);
  return {
    capabilities: { drops: ["ALL"] },
    securityOpts: ["no-new-privileges:true"],
    privileged: false,
    // Equal: no swap, where a Redis would be alive and useless.
    memory: memoryMb,
    memorySwap: memoryMb,
    ulimits: [{ name: "nproc", soft: 4096, hard: 4096 }],
    logDriver: "json-file",
    logOpts: { "max-size": "10m", "max-file": "3" },
    // A data node starts dead, so an empty one that comes back serves nobody until a monitor gives it a role.
    restart: "unless-stopped",
    labels: Object.entries(labels).map(([label, value]) => ({ label, value })),
  };
}

/** The container of one service. */
export function containerArgs(input: ContainerInput): docker.ContainerArgs {
  const { service } = input;
  const isRedis = runsRedis(service.kind);
  const user = isRedis ? REDIS_USER : RUNTIME_USER;
  const graceS = Math.ceil(service.graceMs / 1000) + (service.kind === "data" ? graceForData : 0);
  return {
    ...hardening(input.memoryBytes, input.labels),
    name: input.name,
    image: input.image,
    user,
    networkMode: input.networkMode,
    ...(input.isInPod || input.extraHosts.length === 0 ? {} : { hosts: [...input.extraHosts] }),
    ...(isRedis ? { entrypoints: [...service.command] } : runtimeCommand(input)),
    ...(service.dataFolder === undefined
      ? {}
      : { volumes: [{ volumeName: input.name, containerPath: CONTAINER_PATHS.data }] }),
    uploads: uploadsOf(input, user),
    healthcheck: {
      tests: isRedis
        ? ["CMD", "/bin/sh", `${CONTAINER_PATHS.files}/health.sh`]
        : runtimeCheck(
            service.health,
            input.isInPod ? "127.0.0.1" : (service.bind[0] ?? "127.0.0.1"),
            input.isInPod,
          ),
      interval: isRedis ? "2s" : "3s",
      ...CHECK_TIMES,
    },
    wait: true,
    waitTimeout: waitS(service.kind, input.memoryBytes),
    stopSignal: "SIGTERM",
    stopTimeout: graceS,
    destroyGraceSeconds: graceS,
  };
}

/** A handover is asked for and awaited before Redis is told to stop. */
const graceForData = HANDOVER_WITHIN_S + 10;

/** How long `pulumi up` waits for a container to get healthy: on a machine without spare CPU all of it takes its time. */
const WAIT_S: Readonly<Record<NodeKind, number>> = {
  status: 120,
  data: 180,
  monitor: 180,
  router: 180,
};
/** A replica copies everything that its master holds: slow disks and a busy network give this much of it a second. */
const COPY_BYTES_S = 32 * MB;

function waitS(kind: NodeKind, memoryBytes: number): number {
  return WAIT_S[kind] + (kind === "data" ? Math.ceil(memoryBytes / COPY_BYTES_S) : 0);
}

function runtimeCommand({
  service,
  isInPod,
  password,
  smtpPassword,
}: ContainerInput): Pick<docker.ContainerArgs, "entrypoints" | "command" | "envs" | "workingDir"> {
  const [bin = "", ...rest] = service.command;
  return {
    entrypoints: ["node", `${RUNTIME_FOLDER}/dist/runtime/bin/${bin}.js`],
    command: rest,
    workingDir: RUNTIME_FOLDER,
    envs: [
      "NODE_ENV=production",
      ...(isInPod ? [`TWINE_LISTEN=${service.bind.join(",")}`] : []),
      // The path of a file, never the password itself: `docker inspect` shows a container's environment.
      ...(password === undefined ? [] : [`TWINE_PASSWORD_FILE=${CONTAINER_PATHS.files}/password`]),
      ...(smtpPassword === undefined ? [] : [`TWINE_SMTP_PASSWORD_FILE=${SMTP_PASSWORD_FILE}`]),
    ],
  };
}

function uploadsOf(input: ContainerInput, user: string): docker.types.input.ContainerUpload[] {
  const planned = input.files
    .filter((file) => file.path.startsWith(`${input.service.folder}/`))
    .map((file) => uploadOf(input, file, user));
  const given = (input.service.given ?? []).map((file) => givenUpload(input, file, user));
  const { smtpPassword } = input;
  const smtp =
    smtpPassword === undefined
      ? []
      : [secretUpload(SMTP_PASSWORD_FILE, smtpPassword.apply(asLine), user)];
  return [...planned, ...given, ...smtp];
}

function givenUpload(
  { given }: ContainerInput,
  { directive, name, isSecret, mode }: GivenFile,
  user: string,
): docker.types.input.ContainerUpload {
  const held = given[directive];
  assert(held !== undefined, `the file that ${directive} names was read`);
  const file = `${CONTAINER_PATHS.files}/${name}`;
  const permissions = mode.toString(8).padStart(4, "0");
  if (typeof held === "object" && "base64" in held) {
    return { file, contentBase64: held.base64, permissions };
  }
  const content =
    typeof held === "string" ? oneLineAtLeast(held) : pulumi.output(held).apply(oneLineAtLeast);
  if (!isSecret) return { file, content, permissions };
  return secretUpload(file, content, user);
}

/** For the container's user alone. */
function secretUpload(
  file: string,
  content: pulumi.Input<string>,
  user: string,
): docker.types.input.ContainerUpload {
  return { file, content: pulumi.secret(content), owner: user, group: "0", permissions: "0400" };
}

function asLine(text: string): string {
  return `${text}\n`;
}

/** The provider refuses to upload nothing, and an empty line says as little: a users file may name nobody. */
function oneLineAtLeast(text: string): string {
  return text === "" ? "\n" : text;
}

function uploadOf(
  { templates, password, service }: ContainerInput,
  planned: PlannedFile,
  user: string,
): docker.types.input.ContainerUpload {
  const file = `${CONTAINER_PATHS.files}/${planned.path.slice(service.folder.length + 1)}`;
  if (Object.keys(planned.secrets).length === 0 || password === undefined) {
    const permissions = planned.mode.toString(8).padStart(4, "0");
    return { file, content: renderFile(planned, templates), permissions };
  }
  const content = password.apply((text) => renderFile(planned, templates, text));
  return secretUpload(file, content, user);
}
