// apply-page.test.ts: the session that docs/apply.md shows, command by command, beside a cluster of its own.
import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { binPath } from "../support/bins.ts";
import { onePartition, startedCluster } from "../support/one-partition.ts";
import { runCommand } from "../support/run-tool.ts";

const CONF = onePartition({ dataNodes: 2, monitors: 1 }, "cluster page").replace(/^r1=.*$/m, "");

test("the session of docs/apply.md is what happens", { timeout: 120_000 }, async () => {
  const page = await readFile(new URL("../../docs/apply.md", import.meta.url), "utf8");
  const session = /```console\n([^]*?)```/.exec(page)?.[1] ?? "";
  const steps = session.split(/^\$ /m).slice(1);
  expect(steps.length).toBeGreaterThan(3);

  const { folder } = await startedCluster(CONF);
  const bin = join(folder, "twine-apply");
  await writeFile(
    bin,
    `#!/bin/sh\nexec '${process.execPath}' '${binPath("twine-apply", "infra")}' "$@"\n`,
  );
  await chmod(bin, 0o755);
  const env = { PATH: `${folder}:${process.env["PATH"] ?? ""}` };
  for (const step of steps) {
    const [command = "", ...shown] = step.trimEnd().split("\n");
    const ran = await runCommand("sh", ["-c", command], { cwd: folder, env });
    expect([command, ran.stderr]).toEqual([command, ""]);
    // Nodes are set at the same time, so they end in any order.
    expect(ran.stdout.trimEnd().split("\n").sort()).toEqual(
      (shown.length === 0 ? [""] : shown).sort(),
    );
  }
});
