// mistakes.ts: rules that a simulated world can break, one at a time, to prove that the checkers would see it.
// Each breaks what production relies on from outside; production code itself runs unchanged.

export const MISTAKES = {
  "fence-off": "data nodes answer OK to CLIENT KILL and close nothing",
  "quorum-of-one": "each monitor takes one status node of its own for all of them",
  "oldest-replica": "detached replicas tell their offset upside down: the oldest seems the newest",
  "wait-lies": "WAIT answers at once with what was asked for",
  "serves-at-start": "a data node that comes back serves at once as master",
  "fsync-off": "status nodes answer before their disk has what they promised",
  "router-believes-one": "routers take the view of one status node for chosen",
  "lease-ignored": "routers act on a view however long ago a majority has confirmed it",
} as const;

export type Mistake = keyof typeof MISTAKES;
