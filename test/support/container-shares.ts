// container-shares.ts: the processor time of all containers of test engines, beside the other processes of the machine.
// Why: the kernel shares it by cgroup, and Docker puts all containers of all engines into one, which gets as much as one
// ordinary process. With sixty other processes a cluster of fourteen containers had 3 percent of a processor: monitors did not
// reach status nodes in time and nobody led. On a real host nothing else wants its processors.
// https://docs.kernel.org/admin-guide/cgroup-v1/, https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** For dockerd's --cgroup-parent. */
export const CONTAINER_GROUP = "/twine-test-engines";

/** As much as of twenty processes: by version 1 (default 1024), by version 2 (default 100). */
const SHARES = 20 * 1024;
const WEIGHT = 20 * 100;

/** Makes the group. It stays: an empty group costs nothing, and other runs may use it. */
export async function shareProcessors(root = "/sys/fs/cgroup"): Promise<void> {
  const isFirst = existsSync(join(root, "cpu"));
  const group = join(root, ...(isFirst ? ["cpu"] : []), CONTAINER_GROUP);
  await mkdir(group, { recursive: true });
  const [file, share] = isFirst ? ["cpu.shares", SHARES] : ["cpu.weight", WEIGHT];
  // Version 2 has the file only where the controller is enabled for the group.
  if (existsSync(join(group, file))) await writeFile(join(group, file), String(share));
}
