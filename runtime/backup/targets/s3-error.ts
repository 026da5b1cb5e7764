// s3-error.ts: what an object store or its client library says, as a problem that names the bucket, the reason and the
// remedy. Pure.
import { TwineError } from "../../core/errors.ts";

/** What the library's errors may carry; none of it is certain. */
interface Reported {
  readonly name: string;
  readonly message: string;
  readonly code: string;
  /** Of the server's answer; undefined: there was none. */
  readonly status: number | undefined;
}

const CREDENTIALS =
  "give the credentials of a user who may use this bucket: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE";
const EXPIRED =
  "the session token (AWS_SESSION_TOKEN) has expired: get new credentials, set them where you run this command, and " +
  "restart the monitors with them";
const RIGHTS =
  "allow this user s3:ListBucket and s3:ListBucketMultipartUploads on the bucket, and s3:GetObject, s3:PutObject, " +
  "s3:DeleteObject and s3:AbortMultipartUpload on its objects";
const REGION = "set AWS_REGION to the region of the bucket";
const AGAIN = "see that the store is up and not overloaded, then start this again";

/** The error codes of S3, which other stores use as well. */
const REMEDIES: Readonly<Record<string, string>> = {
  NoSuchBucket: "make the bucket, or name another one as backup-dir",
  AccessDenied: RIGHTS,
  AllAccessDisabled: RIGHTS,
  InvalidAccessKeyId: CREDENTIALS,
  SignatureDoesNotMatch: CREDENTIALS,
  InvalidToken: CREDENTIALS,
  ExpiredToken: EXPIRED,
  ExpiredTokenException: EXPIRED,
  CredentialsProviderError: CREDENTIALS,
  AuthorizationHeaderMalformed: REGION,
  PermanentRedirect: REGION,
  IllegalLocationConstraintException: REGION,
  RequestTimeTooSkewed: "set the clock of this machine right",
  QuotaExceeded: "free space in the store, or let fewer backups be kept (backup-keep)",
  XMinioStorageFull: "free space in the store, or let fewer backups be kept (backup-keep)",
  SlowDown: AGAIN,
  ServiceUnavailable: AGAIN,
  InternalError: AGAIN,
  EntityTooLarge: "name a bucket of a store that takes objects of this size",
};
const UNREACHABLE =
  "see that the store runs and can be reached from here; AWS_ENDPOINT_URL_S3 names it where it is not Amazon's";

export function reportedBy(error: unknown): Reported {
  const from = error as Partial<Record<"name" | "message" | "code" | "$metadata", unknown>> | null;
  const text = (value: unknown): string => (typeof value === "string" ? value : "");
  const { httpStatusCode: status } = (from?.$metadata ?? {}) as { httpStatusCode?: unknown };
  return {
    name: text(from?.name),
    message: text(from?.message),
    code: text(from?.code),
    status: typeof status === "number" ? status : undefined,
  };
}

/** Whether it may work a moment later: the connection broke, or the server is busy. */
export function isPassing(error: unknown): boolean {
  if (error instanceof TwineError) return false;
  const { name, status } = reportedBy(error);
  if (name === "CredentialsProviderError" || isFull(name)) return false;
  return status === undefined || status >= 500 || status === 429 || status === 408;
}

/** It will not pass before somebody frees space, though its status (507) is that of a server's fault. */
function isFull(name: string): boolean {
  return name === "XMinioStorageFull" || name === "QuotaExceeded";
}

/** Whether what was asked for is not there. */
export function isAbsent(error: unknown): boolean {
  const { name } = reportedBy(error instanceof TwineError ? error.cause : error);
  return name === "NoSuchKey" || name === "NoSuchUpload";
}

/** `target` is as twine.conf names it. */
export function s3Error(error: unknown, target: string, bucket: string): TwineError {
  if (error instanceof TwineError) return error;
  const { name, message, code, status } = reportedBy(error);
  // The kind is what a person looks up; that of every error says nothing.
  const kind = [code, name].find((word) => word !== "" && word !== "Error");
  const remedy = REMEDIES[name] ?? (status === undefined ? UNREACHABLE : remedyByStatus(status));
  return new TwineError(
    {
      code: "BACKUP_TARGET_FAILED",
      message: `${target}: bucket ${bucket}: ${message}${kind === undefined ? "" : ` (${kind})`}`,
      remedy,
    },
    { cause: error },
  );
}

function remedyByStatus(status: number): string {
  if (status === 401 || status === 403) return `${CREDENTIALS}; or ${RIGHTS}`;
  if (status === 301) return REGION;
  if (status >= 500 || status === 429) return AGAIN;
  return "see what the store's log says of it, mend that, and start this again";
}
