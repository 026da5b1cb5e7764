// hand-over.ts: decides which masters hand over before some nodes stop, and which nodes must not stop. Pure.
//
//   all nodes of twine.conf stop           nothing: the whole cluster ends
//   a master, replicas run elsewhere       one of those becomes master first
//   a master, no replica runs elsewhere    refused: its partition would be without a master
//   too many status nodes                  refused: routers buffer every write without a majority of them
import { majorityOf, nodesOf, type ClusterConfig } from "../../runtime/core/cluster.ts";
import type { Problem } from "../../runtime/core/errors.ts";
import { namesOf } from "./files/names.ts";

export interface MasterToMove {
  readonly name: string;
  readonly partition: number;
  /** Running data nodes of its partition that do not stop, in natural order. */
  readonly candidates: readonly string[];
}

export interface StopPlan {
  readonly masters: readonly MasterToMove[];
  /** LEAVES_NO_MASTER, LEAVES_NO_MAJORITY. */
  readonly problems: readonly Problem[];
}

export type KnownRole = "master" | "replica" | "loading" | undefined;

/** The nodes whose role `planStop` needs. */
export function nodesToAsk(config: ClusterConfig, stopping: ReadonlySet<string>): string[] {
  if (isWhole(config, stopping)) return [];
  const data = nodesOf(config, "data");
  const touched = new Set(
    data.filter(({ name }) => stopping.has(name)).map((node) => node.partition),
  );
  const status = nodesOf(config, "status");
  return [
    ...data.filter(({ partition }) => touched.has(partition)).map(({ name }) => name),
    ...(status.some(({ name }) => stopping.has(name)) ? status.map(({ name }) => name) : []),
  ];
}

/** `roles`: the role of each node of `nodesToAsk`; undefined for one that did not answer. */
export function planStop(
  config: ClusterConfig,
  stopping: ReadonlySet<string>,
  roles: ReadonlyMap<string, KnownRole>,
): StopPlan {
  if (isWhole(config, stopping)) return { masters: [], problems: [] };
  const data = nodesOf(config, "data");
  const masters = data
    .filter(({ name }) => stopping.has(name) && roles.get(name) === "master")
    .map(({ name, partition }) => ({
      name,
      partition,
      candidates: data
        .filter((other) => other.partition === partition && !stopping.has(other.name))
        .map((other) => other.name)
        .filter((other) => roles.get(other) !== undefined),
    }));
  const alone = masters.filter(({ candidates }) => candidates.length === 0);
  return {
    masters,
    problems: [...alone.map(leavesNoMaster), ...majorityProblems(config, stopping, roles)],
  };
}

function isWhole(config: ClusterConfig, stopping: ReadonlySet<string>): boolean {
  return config.nodes.every(({ name }) => stopping.has(name));
}

function leavesNoMaster({ name, partition }: MasterToMove): Problem {
  return {
    code: "LEAVES_NO_MASTER",
    message: `${name} is master of partition ${partition}, and no other node of that partition runs elsewhere: when it stops, the partition has no master`,
    remedy: "start another node of the partition first, or stop it all the same with --force",
  };
}

/** A stop is refused only if it breaks the majority, not if the majority is already lost. */
function majorityProblems(
  config: ClusterConfig,
  stopping: ReadonlySet<string>,
  roles: ReadonlyMap<string, KnownRole>,
): Problem[] {
  const status = nodesOf(config, "status").map(({ name }) => name);
  const running = status.filter((name) => roles.get(name) !== undefined);
  const left = running.filter((name) => !stopping.has(name));
  const needed = majorityOf(status.length);
  if (running.length < needed || left.length >= needed) return [];
  const ending = running.filter((name) => stopping.has(name));
  return [
    {
      code: "LEAVES_NO_MAJORITY",
      message:
        `without ${namesOf(ending)} only ${left.length} of ${status.length} status nodes would run, and ${needed} are needed: ` +
        "routers would refuse every write after hold-for",
      remedy: "start other status nodes first, or stop them all the same with --force",
    },
  ];
}
