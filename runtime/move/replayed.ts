// replayed.ts: changes of function libraries that a target may have executed already. Pure.
import type { Words } from "./target.ts";

/** A target that refuses the command has its effect already: a replayed FUNCTION DELETE. */
export const NO_MATTER: readonly Buffer[] = [];

export function isDelete(args: readonly Buffer[]): boolean {
  return args[1]?.toString("latin1").toUpperCase() === "DELETE";
}

/** A replayed FUNCTION LOAD finds its library: the source accepted it, so it replaces nothing else. */
export function replacing(args: readonly Buffer[]): Words {
  const isLoad = args[1]?.toString("latin1").toUpperCase() === "LOAD";
  const [word, load, ...rest] = args;
  if (!isLoad || word === undefined || load === undefined || rest.length !== 1) return args;
  return [word, load, "REPLACE", ...rest];
}
