// hash-page.test.ts: the hash module that docs/twine-conf.md shows.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { parseConf } from "../../runtime/core/conf/parse.ts";
import { loadPartitioner } from "../../runtime/ports/hash-source.ts";

test("the module that docs/twine-conf.md shows has a fingerprint, so a cluster starts with it", async () => {
  const page = await readFile(new URL("../../docs/twine-conf.md", import.meta.url), "utf8");
  const folder = await mkdtemp(join(tmpdir(), "twine-hash-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, "my-hash.mjs"), /^ {4}export default .*$/m.exec(page)?.[0] ?? "");
  const text = "hash ./my-hash.mjs\npartitions 2\na=data 0 h 1 0\nb=data 1 h 2 0\n";
  const { config } = parseConf(text, join(folder, "twine.conf"));
  if (config === undefined) throw new Error("twine.conf is refused");
  expect((await loadPartitioner(config)).hashing.fingerprint).toMatch(/^[0-9a-f]{16}$/);
});
