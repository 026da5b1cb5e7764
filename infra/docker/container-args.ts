// container-args.ts: one planned service as the arguments of a docker.Container, hardened. Pure except for Pulumi's secret
// values. Not possible (docs/adr/0007-hardening.md): a read-only root below uploaded files, and a limit on the number of
// processes of a single container.
//
// Every property is a text that is known before anything runs, except for the ids of the image and the pod: if a property
// came from another node, replacing that node would replace all nodes at once.
import type * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import type { NodeKind } from "../../runtime/core/cluster.ts";
import { assert } from "../../runtime/core/errors.ts";
import { CONTAINER_PATHS, HANDOVER_WITHIN_S } from "../plan/container-files.ts";
import { usesRedisImage, type PlannedFile, type PlannedService } from "../plan/plan.ts";
import type { UserFile } from "../plan/user-files.ts";
import { renderFile } from "../render/render-file.ts";
import { BACKUP_FOLDER } from "./backup-settings.ts";
import type { UserFileContents } from "./user-files.ts";
import { CHECK_TIMES, runtimeCheck } from "./runtime-health.ts";

/** The user "redis" of the official images of Redis and Valkey; "node" in Node's. Not root, and no name that must be looked
    up. */
export const REDIS_USER = "999";
export const RUNTIME_USER = "1000";
/** The folder of Twine in infra/image/Dockerfile. */
const RUNTIME_FOLDER = "/opt/twine";
const SMTP_PASSWORD_FILE = `${CONTAINER_PATHS.files}/smtp-password`;
const AWS_FILE = `${CONTAINER_PATHS.files}/aws`;
const MB = 1024 ** 2;

/** The inputs of a container's files. */
export type FilesInput = Pick<
  ContainerInput,
  "service" | "files" | "templates" | "password" | "smtpPassword" | "awsProfile" | "userFiles"
>;

export interface ContainerInput {
  readonly service: PlannedService;
  readonly files: readonly PlannedFile[];
  readonly templates: ReadonlyMap<string, string>;
  /** The valid passwords, the one to use first. */
  readonly password: pulumi.Output<readonly string[]> | undefined;
  /** Only for a monitor whose mail relay requires a password. */
  readonly smtpPassword: pulumi.Output<string> | undefined;
  /** Only for a monitor: its credentials for the S3 store of its backups. */
  readonly awsProfile: pulumi.Output<string> | undefined;
  /** Only for a monitor: the folder of its host that is mounted as BACKUP_FOLDER. */
  readonly backupFolder: string | undefined;
  /** Name of the container and of its volume. */
  readonly name: string;
  readonly image: pulumi.Input<string>;
  /** "host", or the pod's namespace. */
  readonly networkMode: pulumi.Input<string>;
  /** Listen on all addresses instead of those of the host's name. */
  readonly isInPod: boolean;
  readonly extraHosts: readonly { readonly host: string; readonly ip: string }[];
  readonly memoryBytes: number;
  readonly labels: Readonly<Record<string, string>>;
  /** The files that twine.conf names; the plan selects those of this service. */
  readonly userFiles: UserFileContents;
}

/** Settings of every container, pods included. */
export function hardening(
  memoryBytes: number,
  labels: Readonly<Record<string, string>>,
): Omit<docker.ContainerArgs, "image"> {
  const memoryMb = Math.ceil(memoryBytes / MB);
  return {
    capabilities: { drops: ["ALL"] },
    securityOpts: ["no-new-privileges:true"],
    privileged: false,
    // Equal: no swap, with which Redis would run but be unusably slow.
    memory: memoryMb,
    memorySwap: memoryMb,
    ulimits: [{ name: "nproc", soft: 4096, hard: 4096 }],
    logDriver: "json-file",
    logOpts: { "max-size": "10m", "max-file": "3" },
    // A data node starts dead, so an empty one that comes back serves no client until a monitor gives it a role.
    restart: "unless-stopped",
    labels: Object.entries(labels).map(([label, value]) => ({ label, value })),
  };
}

/** The container of one service, without its files: see uploadsOf(). */
export function containerArgs(input: ContainerInput): docker.ContainerArgs {
  const { service } = input;
  const isRedis = usesRedisImage(service);
  const user = userOf(service);
  const graceS = Math.ceil(service.graceMs / 1000) + (service.kind === "data" ? graceForData : 0);
  return {
    ...hardening(input.memoryBytes, input.labels),
    name: input.name,
    image: input.image,
    user,
    networkMode: input.networkMode,
    ...(input.isInPod || input.extraHosts.length === 0 ? {} : { hosts: [...input.extraHosts] }),
    ...(isRedis ? { entrypoints: [...service.command] } : runtimeCommand(input)),
    ...volumesOf(input),
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

function volumesOf({
  service,
  name,
  backupFolder,
}: ContainerInput): Pick<docker.ContainerArgs, "volumes"> {
  const volumes: docker.types.input.ContainerVolume[] = [];
  if (service.dataFolder !== undefined) {
    volumes.push({ volumeName: name, containerPath: CONTAINER_PATHS.data });
  }
  if (backupFolder !== undefined) {
    volumes.push({ hostPath: backupFolder, containerPath: BACKUP_FOLDER });
  }
  return volumes.length === 0 ? {} : { volumes };
}

function userOf(service: PlannedService): string {
  return usesRedisImage(service) ? REDIS_USER : RUNTIME_USER;
}

/** The handover comes first, then Redis is stopped. */
const graceForData = HANDOVER_WITHIN_S + 10;

/** The time limit of `pulumi up` until a container is healthy: on a machine without spare CPU every step is slow. */
const WAIT_S: Readonly<Record<NodeKind, number>> = {
  status: 120,
  data: 180,
  monitor: 180,
  router: 180,
};
/** A replica copies all data of its master: slow disks and a busy network copy this much per second. */
const COPY_BYTES_S = 32 * MB;

function waitS(kind: NodeKind, memoryBytes: number): number {
  return WAIT_S[kind] + (kind === "data" ? Math.ceil(memoryBytes / COPY_BYTES_S) : 0);
}

function runtimeCommand({
  service,
  isInPod,
  password,
  smtpPassword,
  awsProfile,
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
      ...(awsProfile === undefined
        ? []
        : [`AWS_CONFIG_FILE=${AWS_FILE}`, `AWS_SHARED_CREDENTIALS_FILE=${AWS_FILE}`]),
      ...(smtpPassword === undefined ? [] : [`TWINE_SMTP_PASSWORD_FILE=${SMTP_PASSWORD_FILE}`]),
    ],
  };
}

/** The files of the service in /etc/twine. */
export function uploadsOf(input: FilesInput): docker.types.input.ContainerUpload[] {
  const user = userOf(input.service);
  const planned = input.files
    .filter((file) => file.path.startsWith(`${input.service.folder}/`))
    .map((file) => uploadOf(input, file, user));
  const userFiles = (input.service.userFiles ?? []).map((file) =>
    userFileUpload(input, file, user),
  );
  const { smtpPassword, awsProfile } = input;
  const smtp =
    smtpPassword === undefined
      ? []
      : [secretUpload(SMTP_PASSWORD_FILE, smtpPassword.apply(asLine), user)];
  const aws = awsProfile === undefined ? [] : [secretUpload(AWS_FILE, awsProfile, user)];
  return [...planned, ...userFiles, ...smtp, ...aws];
}

function userFileUpload(
  { userFiles }: FilesInput,
  { directive, name, isSecret, mode }: UserFile,
  user: string,
): docker.types.input.ContainerUpload {
  const read = userFiles[directive];
  assert(read !== undefined, `the file that ${directive} names was read`);
  const file = `${CONTAINER_PATHS.files}/${name}`;
  const permissions = mode.toString(8).padStart(4, "0");
  if (typeof read === "object" && "base64" in read) {
    return { file, contentBase64: read.base64, permissions };
  }
  const content =
    typeof read === "string" ? oneLineAtLeast(read) : pulumi.output(read).apply(oneLineAtLeast);
  if (!isSecret) return { file, content, permissions };
  return secretUpload(file, content, user);
}

/** Readable by the container's user only. */
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

/** The provider refuses an empty upload, and an empty line has the same meaning: a users file may be empty. */
function oneLineAtLeast(text: string): string {
  return text === "" ? "\n" : text;
}

function uploadOf(
  { templates, password, service }: FilesInput,
  planned: PlannedFile,
  user: string,
): docker.types.input.ContainerUpload {
  const file = `${CONTAINER_PATHS.files}/${planned.path.slice(service.folder.length + 1)}`;
  if (Object.keys(planned.secrets).length === 0 || password === undefined) {
    const permissions = planned.mode.toString(8).padStart(4, "0");
    return { file, content: renderFile(planned, templates), permissions };
  }
  const content = password.apply((list) => renderFile(planned, templates, { list: () => list }));
  return secretUpload(file, content, user);
}
