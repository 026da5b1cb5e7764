// check.ts: `npm run check`: lint, types, format, and every test that needs no server.
import { runSequences, STATIC_STEPS } from "./steps.ts";

const unit = ["vitest", "run", "--project", "unit", "--project", "unit-pulumi"] as const;
const passed = await runSequences([STATIC_STEPS, [unit]]);
process.exitCode = passed.every(Boolean) ? 0 : 1;
