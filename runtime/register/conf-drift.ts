// conf-drift.ts: logs when a program that follows the view has another twine.conf than the adopted one.
// The program continues; guarded-view.ts decides whether it may route. The log explains why a router and the cluster have
// different settings.
import type { ClusterConfig } from "../core/cluster.ts";
import { confDifference, describeDifference } from "../core/conf/difference.ts";
import { confDigest } from "../core/conf/digest.ts";
import type { Log } from "../ports/log.ts";
import type { AdoptedConf } from "./adopted-conf.ts";
import type { ViewSource } from "./view-source.ts";

export interface ConfDriftOptions {
  readonly config: ClusterConfig;
  readonly viewSource: ViewSource;
  readonly log: Log;
  /** Reads the file with this digest from the status nodes; undefined if no status node that replied has it. */
  readonly readConf: (digest: string) => Promise<AdoptedConf | undefined>;
}

export interface ConfDrift {
  /** How the own file differs from the adopted one; null if it does not, or if this is unknown. */
  difference(): string | null;
  /** Call this after the program has read its file again. */
  reload(config: ClusterConfig): void;
  close(): void;
}

/** Compares whenever the view names another file. Each difference is logged once. */
export function watchConfDrift({
  config: started,
  viewSource,
  log,
  readConf,
}: ConfDriftOptions): ConfDrift {
  let own = confDigest(started);
  let config = started;
  let judged = "";
  let difference: string | null = null;
  const say = (text: string | null): void => {
    if (text !== null) {
      log.warn(`this twine.conf is not the adopted one: ${text}`, { code: "CONF_DIFFERS" });
    } else if (difference !== null) log.info("this twine.conf is the adopted one again");
    difference = text;
  };
  const look = async (): Promise<void> => {
    const digest = viewSource.current()?.confDigest ?? "";
    const pair = `${own} ${digest}`;
    if (digest === "" || pair === judged) return;
    judged = pair;
    if (own === digest) {
      say(null);
      return;
    }
    // A status node that is unreachable now is tried again at the next view.
    const adopted = await readConf(digest).catch(() => undefined);
    if (judged !== pair) return;
    if (adopted === undefined) judged = "";
    else {
      const text = describeDifference(confDifference(config, adopted.config));
      say(text === "" ? null : text);
    }
  };
  const endWatch = viewSource.onChange(() => void look());
  void look();
  return {
    difference: () => difference,
    reload: (changed) => {
      config = changed;
      own = confDigest(changed);
      void look();
    },
    close: endWatch,
  };
}
