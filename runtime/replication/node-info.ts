// node-info.ts: what a node reports of itself: its INFO, as fields.
import { infoFields } from "../resp/info-fields.ts";
import { textOf } from "../resp/value.ts";
import type { NodeSocket } from "./node-socket.ts";

/** Of one section, or of Redis's default ones. */
export async function infoOf(
  socket: NodeSocket,
  ...sections: readonly string[]
): Promise<Map<string, string>> {
  return infoFields(textOf(await socket.call("INFO", ...sections)) ?? "");
}
