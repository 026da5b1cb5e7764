// programs.ts: the real programs that tests run. A missing one skips its tests by name,
// and fails them where skips are forbidden (TWINE_TEST_STRICT=1).
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

export function findProgram(name: string): string | undefined {
  const path = (process.env["PATH"] ?? "").split(delimiter);
  const folders = [...path, "/usr/sbin", "/sbin", "/usr/local/go/bin"];
  return folders
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** For `describe.skipIf(isMissing("nutcracker"))`: throws instead of skipping where skips are forbidden. */
export function isMissing(...names: string[]): boolean {
  const missing = names.filter((name) => findProgram(name) === undefined);
  if (missing.length === 0) return false;
  if (process.env["TWINE_TEST_STRICT"] === "1") {
    throw new Error(
      `TWINE_TEST_STRICT forbids skips, and these programs are missing: ${missing.join(", ")}`,
    );
  }
  process.stderr.write(`skipped: needs ${missing.join(", ")}\n`);
  return true;
}
