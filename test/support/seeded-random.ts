// seeded-random.ts: where tests take it from.
export { seededRandom, type SeededRandom } from "../../runtime/ports/seeded-random.ts";
