// agreed-master.ts: from what each Sentinel says to the master that counts. Pure.
//
//   the highest config-epoch wins: Sentinels give each failover one of its own, by majority, and those that were away learn of
//   it late. So one Sentinel that was cut off can't bring an old master back.
//   two masters of one epoch: they don't watch the same cluster, and nobody may be believed.
import type { Problem } from "../core/errors.ts";
import { isSameAddress, printAddress, type ServerAddress } from "./pool-file.ts";

export interface SentinelAnswer {
  /** The Sentinel's name in twine.conf. */
  readonly sentinel: string;
  readonly master: ServerAddress;
  readonly epoch: number;
}

export interface Agreement {
  /** undefined: nobody knows, or nobody may be believed; who was master stays it. */
  readonly master: ServerAddress | undefined;
  readonly epoch: number;
  readonly problem?: Problem;
}

export interface Question {
  /** twine-p0 */
  readonly name: string;
  /** The partition's nodes: nobody else can be its master. */
  readonly nodes: readonly ServerAddress[];
  /** The highest epoch seen so far; what is older is out of date. */
  readonly seenEpoch: number;
}

export function agreedMaster(question: Question, answers: readonly SentinelAnswer[]): Agreement {
  const { name, nodes, seenEpoch } = question;
  const epoch = Math.max(seenEpoch, ...answers.map((answer) => answer.epoch));
  const newest = answers.filter((answer) => answer.epoch === epoch);
  const [first] = newest;
  if (first === undefined) return { master: undefined, epoch };
  const other = newest.find(({ master }) => !isSameAddress(master, first.master));
  if (other !== undefined) {
    const problem: Problem = {
      code: "SENTINELS_DISAGREE",
      message:
        `Sentinel ${first.sentinel} says that the master of ${name} is ${printAddress(first.master)}, ` +
        `and ${other.sentinel} says ${printAddress(other.master)}, both in epoch ${epoch}; twemproxy is left as it is`,
      remedy: `compare their sentinel.conf; SENTINEL RESET ${name} makes one look again`,
    };
    return { master: undefined, epoch, problem };
  }
  if (!nodes.some((node) => isSameAddress(node, first.master))) {
    const problem: Problem = {
      code: "SENTINEL_STRANGE_MASTER",
      message: `Sentinel ${first.sentinel} says that the master of ${name} is ${printAddress(first.master)}, which twine.conf does not have; twemproxy is left as it is`,
      remedy: "write a data line for it, or have Sentinel watch the nodes of twine.conf",
    };
    return { master: undefined, epoch, problem };
  }
  return { master: first.master, epoch };
}
