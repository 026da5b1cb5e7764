// rotation-lines.ts: a password rotation as a line of the status. Pure.
import type { RotationView, View } from "../core/view.ts";
import type { StatusProblem } from "./problem.ts";
import { forPeople } from "./times.ts";

/** A note while a rotation is under way, because two passwords are valid then. */
export function rotationNotes({ rotation }: Pick<View, "rotation">): StatusProblem[] {
  if (rotation === undefined) return [];
  const since = `is being rotated since ${forPeople(rotation.since)}: `;
  const { text, remedy } = stateOf(rotation);
  const [severity, subject] = ["NOTE", "password"] as const;
  return [{ code: "ROTATION", severity, subject, host: null, text: since + text, remedy }];
}

/** The state of the rotation and the next step. */
function stateOf({ phase, without, finished }: RotationView): { text: string; remedy: string } {
  const late = without.join(", ");
  const begin = `on ${late}: twine-password --rotate --new-file FILE`;
  switch (phase) {
    case "rotating":
      return without.length > 0
        ? {
            text: `${late} ${without.length === 1 ? "has" : "have"} the old one alone`,
            remedy: begin,
          }
        : {
            text: "not every host uses the new one yet",
            remedy: "on every host: twine-password --rotate",
          };
    case "both":
      return {
        text: "the nodes accept both passwords, and Twine uses the new one",
        remedy: "give it to your programs, then on every host: twine-password --finish",
      };
    case "finishing":
      return without.length > 0
        ? { text: `${late} never took part and can't reach the others`, remedy: begin }
        : {
            text: `the old one is refused on ${finished.join(", ")}`,
            remedy: "on the other hosts: twine-password --finish",
          };
    case "aborting":
      return { text: "it is being cancelled", remedy: "on every host: twine-password --abort" };
  }
}
