// backup-place.ts: parses the location of backups: a folder, or s3://BUCKET/PREFIX. Pure.

export interface S3Place {
  readonly bucket: string;
  /** Without slashes at either end. "" means the bucket itself. */
  readonly prefix: string;
}

/** scheme://...: not a folder. */
const URL_LIKE = /^[A-Za-z][A-Za-z0-9+.-]*:\/\//;
const S3_SCHEME = "s3://";
/** Amazon's rule for bucket names. Other object stores use it too. */
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const PREFIX_CHARS_MAX = 512;

/** Whether the text names an object store, even one with a wrong form. */
export function isUrl(text: string): boolean {
  return URL_LIKE.test(text);
}

/** Parses `s3://bucket/some/prefix`, with or without a final slash. Returns undefined for any other text. */
export function parseS3Place(text: string): S3Place | undefined {
  if (!text.startsWith(S3_SCHEME)) return undefined;
  const [bucket = "", ...rest] = text.slice(S3_SCHEME.length).replace(/\/$/, "").split("/");
  const prefix = rest.join("/");
  const isGood =
    BUCKET.test(bucket) &&
    !bucket.includes("..") &&
    prefix.length <= PREFIX_CHARS_MAX &&
    rest.every((part) => /^[^\s?#\\]+$/.test(part) && part !== "." && part !== "..");
  return isGood ? { bucket, prefix } : undefined;
}

/** Whether backups can be stored there: a folder's path, or a well-formed s3:// URL. */
export function isBackupPlace(text: string): boolean {
  return text !== "" && (!isUrl(text) || parseS3Place(text) !== undefined);
}

/** Splits the path of one copy, `backups/ID` or `s3://bucket/prefix/ID`, into location and id. undefined: only an id. */
export function splitCopyPath(
  path: string,
): { readonly place: string; readonly id: string } | undefined {
  const whole = path.replace(/\/+$/, "");
  const at = whole.lastIndexOf("/");
  if (at < 0) return undefined;
  return { place: whole.slice(0, at) || "/", id: whole.slice(at + 1) };
}
