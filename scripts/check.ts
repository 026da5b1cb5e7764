// check.ts: `npm run check`: format, lint, types, and every test that needs no server.
import { runLanes, STATIC_LANES } from "./steps.ts";

const [style = [], types = []] = STATIC_LANES;
const unit = ["vitest", "run", "--project", "unit", "--project", "unit-pulumi"] as const;
const passed = await runLanes([style, [...types, unit]]);
process.exitCode = passed.every(Boolean) ? 0 : 1;
