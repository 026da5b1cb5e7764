// rdb-error.ts: why bytes are no RDB that this version of Twine can use, as data. Pure.

export type RdbErrorKind =
  /** It does not begin as one. */
  | "not-rdb"
  /** Written by a newer server than is known here. */
  | "version"
  /** A value of a kind that is not known, or that can't be stepped over without the module that wrote it. */
  | "type"
  /** Lengths or marks that can't be. */
  | "broken"
  /** Whole, but its checksum is another one. */
  | "checksum"
  /** It ends too early. */
  | "truncated";

export class RdbError extends Error {
  readonly kind: RdbErrorKind;
  /** Counted from the RDB's first byte. */
  readonly at: number;
  constructor(kind: RdbErrorKind, message: string, at: number) {
    super(`byte ${at}: ${message}`);
    this.name = "RdbError";
    this.kind = kind;
    this.at = at;
  }
}
