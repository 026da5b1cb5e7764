// choice.ts: the result of a rule that chooses a partition's next master. Pure.
import type { Candidates } from "./candidates.ts";
import type { PartitionInput } from "../partition-input.ts";

export type Choice =
  | { readonly kind: "promote"; readonly node: string }
  | { readonly kind: "wait"; readonly needs: string }
  /** The choice is under way; there is nothing to show yet. */
  | { readonly kind: "pending" };

/** One rule: a choice, or undefined when the rule does not apply. The first rule with a choice decides. */
export type ChoiceRule = (input: PartitionInput, candidates: Candidates) => Choice | undefined;
