// choice.ts: what a rule about a partition's next master may say. Pure.
import type { Candidates } from "./candidates.ts";
import type { PartitionInput } from "./partition-input.ts";

export type Choice =
  | { readonly kind: "promote"; readonly node: string }
  | { readonly kind: "wait"; readonly needs: string }
  /** Under way: nothing to tell anybody yet. */
  | { readonly kind: "pending" };

/** One rule: a node's name, a reason to wait, or nothing to say. The first rule that speaks decides. */
export type ChoiceRule = (input: PartitionInput, candidates: Candidates) => Choice | undefined;
