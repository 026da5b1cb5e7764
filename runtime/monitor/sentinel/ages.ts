// ages.ts: since when what is true has been true, by this monitor's own clock. Pure.
// Sentinel tells times as milliseconds gone by. A view carries the alpha's wall clock, which is not ours: so each
// monitor notes when it first saw a thing, and forgets it when it is true no more.
import type { Picture } from "./picture.ts";

/** What is true -> the monotonic time at which it was first seen so. */
export type Ages = ReadonlyMap<string, number>;

export const factKeys = Object.freeze({
  role: (master: string, node: string, role: string) => `${master} ${node} is ${role}`,
  subjectivelyDown: (master: string, node: string) => `${master} ${node} s_down`,
  objectivelyDown: (master: string, node: string) => `${master} ${node} o_down`,
  notInSync: (master: string, node: string) => `${master} ${node} not in sync`,
  sentinelDown: (node: string) => `sentinel ${node} s_down`,
  unconfirmed: "unconfirmed",
});

/** The ages after `picture` was seen at `nowMs`. */
export function agesAfter(before: Ages, picture: Picture, nowMs: number): Ages {
  return new Map(factsOf(picture).map((fact) => [fact, before.get(fact) ?? nowMs]));
}

/** For how long a fact has been true; 0 when it is not. */
export function ageMs(ages: Ages, fact: string, nowMs: number): number {
  return Math.max(0, Math.round(nowMs - (ages.get(fact) ?? nowMs)));
}

function factsOf(picture: Picture): string[] {
  const facts: string[] = picture.isConfirmed ? [] : [factKeys.unconfirmed];
  for (const master of picture.masters) {
    const { name, node } = master;
    facts.push(factKeys.role(name, node, "master"));
    if (master.isSubjectivelyDown) facts.push(factKeys.subjectivelyDown(name, node));
    if (master.isObjectivelyDown) facts.push(factKeys.objectivelyDown(name, node));
    for (const replica of master.replicas) {
      facts.push(factKeys.role(name, replica.node, "replica"));
      if (replica.isDown) facts.push(factKeys.subjectivelyDown(name, replica.node));
      if (!replica.isInSync) facts.push(factKeys.notInSync(name, replica.node));
    }
  }
  for (const { node, isDown } of picture.sentinels) {
    if (isDown) facts.push(factKeys.sentinelDown(node));
  }
  return facts;
}
