// check.ts: `npm run check`: format, lint, types, and every test that needs no server.
import { runLanes, STATIC_LANES } from "./steps.ts";

const [eslint = [], others = []] = STATIC_LANES;
const unit = ["vitest", "run", "--project", "unit"] as const;
const passed = await runLanes([eslint, [...others, unit]]);
process.exitCode = passed.every(Boolean) ? 0 : 1;
