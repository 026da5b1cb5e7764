// node-error.ts: why a node could not be read or fed, as data: who catches it decides by `kind`, never by the text. Pure.

export type NodeErrorKind =
  /** No connection came about. */
  | "unreachable"
  /** No byte came for as long as was allowed. */
  | "silent"
  /** The node closed the connection, or it broke. */
  | "closed"
  /** We stopped it. */
  | "aborted"
  /** A replica whose own link is down: it may be far behind, and gives no RDB. */
  | "no-master-link"
  /** A dead node: it has no master and serves nothing. */
  | "master-down"
  /** It still loads its data. */
  | "loading"
  /** The password or the user's rights don't do. */
  | "denied"
  /** The key is there already, and the command does not replace it. */
  | "exists"
  /** It is no master at this moment, or can't write: the same command may be executed later, or elsewhere. */
  | "not-now"
  /** Its maxmemory is used up. */
  | "full"
  /** Any other error reply. */
  | "refused"
  /** What came is not what the protocol allows here. */
  | "protocol";

export class NodeError extends Error {
  readonly kind: NodeErrorKind;
  constructor(kind: NodeErrorKind, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "NodeError";
    this.kind = kind;
  }
}

const KINDS_BY_CODE: Readonly<Record<string, NodeErrorKind>> = {
  NOMASTERLINK: "no-master-link",
  MASTERDOWN: "master-down",
  LOADING: "loading",
  BUSYKEY: "exists",
  READONLY: "not-now",
  NOREPLICAS: "not-now",
  MISCONF: "not-now",
  UNBLOCKED: "not-now",
  OOM: "full",
  NOAUTH: "denied",
  WRONGPASS: "denied",
  NOPERM: "denied",
};

/** What an error reply means. `text` is the reply without its leading `-`. */
export function kindOfReply(text: string): NodeErrorKind {
  return KINDS_BY_CODE[/^[A-Z]+/.exec(text)?.[0] ?? ""] ?? "refused";
}

/** RESTORE does not know the version of the value. */
export function isUnknownVersion({ kind, message }: NodeError): boolean {
  return kind === "refused" && message.includes("version or checksum");
}
