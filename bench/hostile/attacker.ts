// attacker.ts: one hostile client in a process of its own, until it is killed: node bench/hostile/attacker.ts KIND PORT
import { KINDS } from "./kinds.ts";

const [kind = "", port = "0"] = process.argv.slice(2);
const attack = KINDS[kind];
if (attack === undefined) throw new Error(`name one of ${Object.keys(KINDS).join(", ")}`);
await attack(Number(port));
