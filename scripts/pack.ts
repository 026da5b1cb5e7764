// pack.ts: the published package.json has a `bin` that the checkout's has not.
//   open   before packing: publishConfig.bin becomes bin   close  afterwards: the checkout's own again
// Why: where package.json has a `bin`, npx does not look into node_modules/.bin but installs the folder into its cache
// first, over the network, and starts the machine's Node instead of the one that the checkout brings.
import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";

interface Package {
  bin?: Record<string, string>;
  readonly publishConfig: { readonly bin: Record<string, string> };
}

const file = resolve(import.meta.dirname, "../package.json");
const content = JSON.parse(readFileSync(file, "utf8")) as Package;

switch (process.argv[2]) {
  case "open":
    content.bin = content.publishConfig.bin;
    break;
  case "close":
    delete content.bin;
    break;
  default:
    throw new Error("usage: node scripts/pack.ts open|close");
}
writeFileSync(file, `${JSON.stringify(content, null, 2)}\n`);
