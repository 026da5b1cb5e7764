// ages.ts: how long each fact has been true, by this monitor's own clock. Pure.
// Sentinel reports times as elapsed milliseconds. A view has the alpha's wall clock, which may differ from this monitor's.
// So each monitor records when it first saw a fact, and drops the record when the fact is no longer true.
import type { Picture } from "./picture.ts";

/** fact -> the monotonic time at which it was first seen to be true. */
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

/** How long a fact has been true, in milliseconds; 0 when it is not true. */
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
