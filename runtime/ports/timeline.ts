// timeline.ts: shows when the phases of a tool begin, in ms since its start: NODE_DEBUG=twine-timeline twine-restore ...
import { debuglog } from "node:util";

const print = debuglog("twine-timeline");

export function mark(phase: string): void {
  if (print.enabled) print("%d ms: %s", Math.round(performance.now()), phase);
}
