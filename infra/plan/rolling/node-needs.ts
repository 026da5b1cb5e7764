// node-needs.ts: the steps that one running data node needs to match twine.conf. Pure.
//
//   settings that differ ─┐
//   other files           ├─▶ start | set | aof | restart | nothing
//   version, program     ─┘
//
// appendonly is switched before a restart: Redis loads only one kind of file, so the file that it will load must be
// complete before the start (docs/design/rolling-change.md).
import type { SettingDifference } from "../../../runtime/core/conf/redis-values.ts";
import { isTakenAtStart } from "../diff-settings.ts";

/** Facts about a node of this cluster besides its role. */
export interface NodeFacts {
  readonly isRunning: boolean;
  /** The settings that differ in the running node; empty when it does not run. */
  readonly settings: readonly SettingDifference[];
  /** Why it must restart for another reason: "users.acl differs", "redis 7.0.15 runs, 7.2.4 is installed". */
  readonly reasons: readonly string[];
}

/**
 * start: it does not run. set: CONFIG SET, and its file immediately. aof: the append only file is switched on or off, with
 * the other settings that Redis can change. restart: it reads the change only at its start.
 */
export type NodeNeed =
  | { readonly kind: "start" }
  | { readonly kind: "set"; readonly settings: readonly SettingDifference[] }
  | {
      readonly kind: "aof";
      readonly isOn: boolean;
      readonly settings: readonly SettingDifference[];
    }
  | { readonly kind: "restart"; readonly why: readonly string[] };

/** undefined: nothing. */
export function needOf({ isRunning, settings, reasons }: NodeFacts): NodeNeed | undefined {
  if (!isRunning) return { kind: "start" };
  const live = settings.filter(({ setting }) => !isTakenAtStart(setting));
  const aof = live.find(({ setting }) => setting === "appendonly");
  if (aof !== undefined) {
    const others = live.filter((difference) => difference !== aof);
    return { kind: "aof", isOn: aof.wanted.toLowerCase() === "yes", settings: others };
  }
  const atStart = settings.filter(({ setting }) => isTakenAtStart(setting));
  const why = [...reasons, ...atStart.map(({ setting }) => `${setting} is taken at the start`)];
  if (why.length > 0) return { kind: "restart", why };
  return live.length > 0 ? { kind: "set", settings: live } : undefined;
}

/** Whether the node stops for a moment, or forks, so that it must not be the master meanwhile. */
export function takesNode(need: NodeNeed): boolean {
  return need.kind === "restart" || need.kind === "aof";
}
