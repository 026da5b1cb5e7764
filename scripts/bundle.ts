// bundle.ts: Twine's programs with what they import in a few files: loading some hundred small ones is most of the start of
// a tool. Each program is OUT/ROOM/bin/NAME.js, as in the sources; what they share is in OUT/chunks.
import { chmodSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { build } from "rolldown";

const ROOT = resolve(import.meta.dirname, "..");
const ROOMS = ["runtime", "infra"];
/** What a process loads before its program (node --import). */
const PRELOADS = ["infra/env/connect-from"];
// Loaded only by who needs it, and large or the user's own: it stays in node_modules.
const LAZY_PACKAGES = [/^@aws-sdk\//, /^@smithy\//, /^@pulumi\//, /^age-encryption$/];
// Most programs need most of these: one file of them is loaded faster than the hundred into which it would be split.
const COMMON = /\/runtime\/(?:backup|cli|core|engine|ports|register|resp|route)\//;
const COMMON_FROM = 5;

/** Bundles every program of the checkout into the folder. */
export async function bundlePrograms(folder: string): Promise<void> {
  const programs = ROOMS.flatMap((room) =>
    readdirSync(join(ROOT, room, "bin")).map((file) => `${room}/bin/${file.replace(/\.ts$/, "")}`),
  );
  const entries = [...programs, ...PRELOADS].map((name) => [name, join(ROOT, `${name}.ts`)]);
  await build({
    input: Object.fromEntries(entries) as Record<string, string>,
    platform: "node",
    external: LAZY_PACKAGES,
    logLevel: "warn",
    output: {
      dir: folder,
      format: "esm",
      entryFileNames: "[name].js",
      // A hash: a program that was started before an upgrade never loads half of another version.
      chunkFileNames: "chunks/[name]-[hash].js",
      codeSplitting: {
        groups: [{ name: "common", test: COMMON, minShareCount: COMMON_FROM }],
      },
    },
  });
  for (const program of programs) chmodSync(join(folder, `${program}.js`), 0o755);
}
