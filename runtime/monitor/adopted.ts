// adopted.ts: the adopted twine.conf that one monitor knows. A monitor with another file of its own uses the adopted one
// until the cluster has adopted its own (docs/adr/0017): one edited file on one host must not change anything.
//
//   own digest == the view's          -> the own file is the adopted one
//   own digest changed by a reload    -> the previous file was the adopted one
//   otherwise                         -> read from the status nodes; the view's digest proves the text
//
// When no status node has the text, as with an older version, the monitor uses its own file.
import type { ClusterConfig } from "../core/cluster.ts";
import { confDifference, describeDifference } from "../core/conf/difference.ts";
import { canonicalConf, digestOfConf } from "../core/conf/digest.ts";
import { parseConf } from "../core/conf/parse.ts";
import type { View } from "../core/view.ts";
import type { Clock } from "../ports/clock.ts";
import type { AdoptedConf } from "../register/adopted-conf.ts";
import { within } from "../register/within.ts";
import type { Emit } from "./emit.ts";

/** Reads the file with this digest from the status nodes; undefined when no node that answered has it. */
export type ReadConf = (digest: string) => Promise<AdoptedConf | undefined>;

export interface AdoptedOptions {
  readonly config: () => ClusterConfig;
  readonly confDigest: () => string;
  readonly clock: Clock;
  readonly emit: Emit;
  /** Absent: nothing is read, and the monitor uses its own file. */
  readonly readConf?: ReadConf | undefined;
}

export interface Adopted {
  /** Reads the view's file, unless it is known. Never rejects; takes a lease at most. */
  learn(view: View | null): Promise<void>;
  /** Keeps this monitor's previous file, in case the view still uses it. */
  keep(digest: string, config: ClusterConfig): void;
  /** Keeps the file that a resharding under way leads to; canonical text. */
  keepNext(text: string): void;
  /** The view's file when it is not the own one; undefined: use the own file. */
  otherThanOwn(view: View): ClusterConfig | undefined;
  /** The canonical text of the view's file; undefined when unknown. */
  textOf(view: View): string | undefined;
  /** The differences between the own file and the view's, for people; null when there are none, or when unknown. */
  difference(view: View | null): string | null;
}

export function createAdopted(options: AdoptedOptions): Adopted {
  return new KnownConf(options);
}

interface Known extends AdoptedConf {
  readonly digest: string;
}

class KnownConf implements Adopted {
  readonly #options: AdoptedOptions;
  #known: Known | undefined;
  /** Of reshardings; the last two, because the way back leads to the one before. */
  #next: readonly Known[] = [];
  #reading: Promise<void> | undefined;
  #readAtMs = -Infinity;
  /** The digests of the last report. */
  #reported = "";

  constructor(options: AdoptedOptions) {
    this.#options = options;
  }

  async learn(view: View | null): Promise<void> {
    if (view === null || view.confDigest === this.#options.confDigest()) return;
    if (this.#knownFor(view) === undefined) {
      this.#reading ??= this.#read(view.confDigest).finally(() => {
        this.#reading = undefined;
      });
      await this.#reading;
    }
    this.#report(view);
  }

  keep(digest: string, config: ClusterConfig): void {
    this.#known = { digest, config, text: canonicalConf(config) };
  }

  keepNext(text: string): void {
    if (this.#next.some((known) => known.text === text)) return;
    const { config } = parseConf(text, "the new twine.conf");
    if (config === undefined) return;
    const next = { digest: digestOfConf(text), config, text };
    this.#next = [...this.#next.slice(-1), next];
  }

  otherThanOwn(view: View): ClusterConfig | undefined {
    const isOwn = view.confDigest === this.#options.confDigest();
    return isOwn ? undefined : this.#knownFor(view)?.config;
  }

  textOf(view: View): string | undefined {
    const { config, confDigest } = this.#options;
    if (view.confDigest === confDigest()) return canonicalConf(config());
    return this.#knownFor(view)?.text;
  }

  #knownFor({ confDigest }: View): Known | undefined {
    return [this.#known, ...this.#next].find((known) => known?.digest === confDigest);
  }

  difference(view: View | null): string | null {
    const other = view === null ? undefined : this.otherThanOwn(view);
    if (other === undefined) return null;
    const text = describeDifference(confDifference(this.#options.config(), other));
    return text === "" ? null : text;
  }

  async #read(digest: string): Promise<void> {
    const { clock, config, readConf } = this.#options;
    const { leaseMs } = config().settings;
    // Don't ask at every tick for a text that no node has.
    if (readConf === undefined || clock.nowMs() - this.#readAtMs < 2 * leaseMs) return;
    this.#readAtMs = clock.nowMs();
    const found = await within(clock, leaseMs, readConf(digest)).catch(() => undefined);
    if (found !== undefined) this.#known = { ...found, digest };
  }

  /** Emits -conf once for each pair of files. */
  #report(view: View): void {
    const isKnown = this.#knownFor(view) !== undefined;
    const reported = `${this.#options.confDigest()} ${view.confDigest} ${isKnown}`;
    if (this.#options.readConf === undefined || reported === this.#reported) return;
    this.#reported = reported;
    const why = isKnown
      ? this.difference(view)
      : "no status node that answered holds the adopted twine.conf in a form that this version reads";
    if (why !== null) this.#options.emit("-conf", { differs: true, why });
  }
}
