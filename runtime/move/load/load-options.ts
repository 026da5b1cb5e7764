// load-options.ts: what a load needs, and what it reports.
import type { Secret } from "../../core/credentials.ts";
import type { Clock } from "../../ports/clock.ts";
import type { LinkTls } from "../../ports/link-tls.ts";
import type { ViewSource } from "../../register/view-source.ts";
import type { Verified } from "../verify/verify.ts";
import type { LoadProgress } from "./loading.ts";
import type { SourcePlace } from "./source-place.ts";
import type { SourceAccess } from "./source-set.ts";
import type { CopyRule, Scattered } from "./scattered-keys.ts";

export type LoadPhase = "copying" | "following" | "switched" | "ending";

/** What a key that the cluster has already means: empty: it may have none. merge: an error. replace: the source's counts. */
export type LoadMode = "empty" | "merge" | "replace";

export interface CheckpointFile {
  /** undefined: there is none. */
  readonly read: () => Promise<string | undefined>;
  readonly write: (text: string) => Promise<void>;
  readonly name: string;
}

export interface LoadReport extends LoadProgress {
  /** By the feeds, since the last attempt began. */
  readonly changes: number;
  /** How often everything was copied. */
  readonly copies: number;
  readonly scattered: Scattered;
  /** Keys that were not copied, because they lay where they don't count. */
  readonly leftOut: number;
  /** undefined: not compared. */
  readonly verified: Verified | undefined;
}

export interface LoadOptions {
  /** As on the command line. */
  readonly source: string;
  readonly place: SourcePlace;
  readonly access: SourceAccess;
  readonly duplicates: CopyRule;
  readonly mode: LoadMode;
  readonly isOnce: boolean;
  readonly compares: boolean;
  readonly cluster: string;
  /** twine.conf. */
  readonly file: string;
  /** Has a view. */
  readonly views: ViewSource;
  readonly password: Secret | undefined;
  readonly tls: LinkTls | undefined;
  readonly clock: Clock;
  /** Ends everything at once. */
  readonly signal: AbortSignal;
  /** It is to end, with everything that was written until then. */
  readonly ending: AbortSignal;
  /** Private and empty, for each attempt. */
  readonly newFolder: () => Promise<string>;
  readonly checkpoint: CheckpointFile | undefined;
  readonly onPhase: (phase: LoadPhase, report: LoadReport) => void;
  readonly onRepeat: (why: string) => void;
  readonly onNote: (text: string) => void;
  readonly onCompared: (verified: Verified) => void;
  /** Everything is in the cluster; what comes next is the user's decision. */
  readonly onReady: (verified: Verified | undefined) => void;
  /** Resolves when the user wants to switch the application, or wants to end it, or `signal` aborts. */
  readonly cutoverAsked: (signal: AbortSignal) => Promise<void>;
  /** Resolves when the user ends it, or `signal` aborts. */
  readonly untilEnding: (signal: AbortSignal) => Promise<void>;
}
