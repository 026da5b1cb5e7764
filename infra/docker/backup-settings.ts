// backup-settings.ts: the settings that the monitors' containers need for backups: a folder of the host, and the
// credentials for an S3 store. twine.conf defines what is saved, where and how often. Pure.
import type { ClusterConfig } from "../../runtime/core/cluster.ts";
import { parseS3Place } from "../../runtime/core/backup-place.ts";

/** `twine:backup`. */
export interface BackupArgs {
  /** A folder of each monitor's host, an absolute path; in the containers it is /backups. */
  readonly folder?: string;
  /** Endpoint of the S3 store; Amazon's when absent. */
  readonly endpoint?: string;
  readonly region?: string;
  readonly accessKeyId?: string;
  readonly secretAccessKey?: string;
  readonly sessionToken?: string;
}

/** The path of the folder in a monitor's container. */
export const BACKUP_FOLDER = "/backups";

/** Key of `twine:backup` -> its name in an AWS profile. */
const PROFILE_NAMES = {
  endpoint: "endpoint_url",
  region: "region",
  accessKeyId: "aws_access_key_id",
  secretAccessKey: "aws_secret_access_key",
  sessionToken: "aws_session_token",
} as const satisfies Partial<Record<keyof BackupArgs, string>>;

const FOLDER_EXAMPLE = "pulumi config set --path twine:backup.folder /srv/twine-backups";

type Complain = (message: string, where?: { path?: string; example?: string }) => void;

/** Complains about every setting with which the cluster would have no backups. */
export function checkBackup(value: unknown, { settings }: ClusterConfig, complain: Complain): void {
  const folders = settings.backupDirs.filter((name) => parseS3Place(name) === undefined);
  const args = (value ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof value !== "object" && value !== undefined) {
    complain("must be an object of folder, endpoint, region, accessKeyId, secretAccessKey");
    return;
  }
  const known = ["folder", ...Object.keys(PROFILE_NAMES)];
  for (const [key, text] of Object.entries(args)) {
    const path = `.${key}`;
    if (!known.includes(key)) {
      complain(`is not a key that Twine reads; there are ${known.join(", ")}`, { path });
    } else if (typeof text !== "string" || text === "" || /[\r\n]/.test(text)) {
      complain("must be one line of text, and not an empty one", { path });
    }
  }
  const { folder } = args;
  if (typeof folder === "string" && (!folder.startsWith("/") || folder === "/")) {
    complain("must be an absolute path of the monitors' hosts", {
      path: ".folder",
      example: FOLDER_EXAMPLE,
    });
  }
  if ((args["accessKeyId"] === undefined) !== (args["secretAccessKey"] === undefined)) {
    complain("accessKeyId and secretAccessKey are only of use together");
  }
  const outside = folders.filter((name) => !`${name}/`.startsWith(`${BACKUP_FOLDER}/`));
  for (const name of outside) {
    const example = `backup-dir ${BACKUP_FOLDER} in twine.conf, and ${FOLDER_EXAMPLE}`;
    const why = `what a container writes there is lost with it; its only folder of the host is ${BACKUP_FOLDER}`;
    complain(`twine.conf has backup-dir ${name}: ${why}`, { path: ".folder", example });
  }
  if (folders.length > outside.length && folder === undefined) {
    const first = folders.find((name) => !outside.includes(name)) ?? "";
    const message = `is missing, and twine.conf has backup-dir ${first}`;
    complain(message, { path: ".folder", example: FOLDER_EXAMPLE });
  }
}

/** A profile that every AWS program reads; undefined when nothing of it is configured: then the host's own role is used. */
export function awsProfile(args: BackupArgs): string | undefined {
  const lines = Object.entries(PROFILE_NAMES).flatMap(([key, name]) => {
    const value = args[key as keyof typeof PROFILE_NAMES];
    return value === undefined ? [] : [`${name} = ${value}`];
  });
  return lines.length === 0 ? undefined : ["[default]", ...lines, ""].join("\n");
}
