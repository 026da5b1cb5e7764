// move-source-options.ts: what a MoveSource is given.
import type { Login } from "../core/credentials.ts";
import type { Clock } from "../ports/clock.ts";
import type { LinkTls } from "../ports/link-tls.ts";
import type { Spool } from "./spool.ts";
import type { NodeAddress } from "../replication/node-socket.ts";
import type { ExpiringKeys } from "./expiring-keys.ts";
import type { MoveTarget } from "./target.ts";

export interface MoveSourceOptions {
  readonly address: NodeAddress;
  /** Of a user that may read the RDB and the feed. */
  readonly credentials?: Login | undefined;
  /** Of a user that may read keys; absent: the same. */
  readonly readerCredentials?: Login | undefined;
  readonly tls?: LinkTls | undefined;
  /** The database that is moved. */
  readonly db: number;
  readonly targets: readonly MoveTarget[];
  /** Its function libraries are moved too. All sources of a cluster have the same, so one of them is enough.
      @default true */
  readonly movesLibraries?: boolean;
  /** Index into the targets; undefined: the key stays. */
  targetOf(key: Buffer): number | undefined;
  /** Keeps the feed while the RDB is read. The caller closes it. */
  readonly spool: Spool;
  /** Keys that have an expiry at the targets already; absent: none. */
  readonly expiring?: ExpiringKeys | undefined;
  /** Nodes with the same history, the best one first: the feed goes on there when its node is lost. Absent: it ends. */
  readonly elsewhere?: (() => readonly NodeAddress[]) | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** So much of the RDB was copied: resolves when more may be. Absent: at once. */
  readonly copied?: ((keys: number, bytes: number) => Promise<void>) | undefined;
  /** Of one value; a longer one ends the move. */
  readonly valueBytesMax: number;
  /** false: load() ends with an error where a target has the key already.
      @default true */
  readonly replaces?: boolean;
  /** The targets may hold keys that the source creates later: a key that is written is copied anew, and no command executed.
      @default false */
  readonly copiesChanges?: boolean;
}
