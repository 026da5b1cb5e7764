// rotation.ts: the part of the view about a password rotation that is under way. Pure.
import { hostsOf, type ClusterConfig } from "../../../core/cluster.ts";
import { rotationUnderWay } from "../../../core/rotation-notes.ts";
import type { RotationNote } from "../../../core/rotation.ts";
import type { View } from "../../../core/view.ts";

/** Until this alpha has read the notes, its predecessor's result stays. */
export function withRotation(
  view: View,
  config: ClusterConfig,
  notes: ReadonlyMap<string, RotationNote> | undefined,
): View {
  if (notes === undefined) return view;
  const { rotation: known, ...rest } = view;
  const rotation = rotationUnderWay(hostsOf(config), notes, known);
  return rotation === undefined ? rest : { ...rest, rotation };
}
