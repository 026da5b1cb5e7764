// supervised.ts: what twine-apply does with the supervisor of a host: it installs changed units, has monit read a changed
// monitrc, and ends the supervision of nodes that left twine.conf.
//
//   files written ─▶ units installed ─▶ new nodes started ─▶ monit reads its monitrc ─▶ ... ─▶ unit of a removed node removed
import type { Problem } from "../../../runtime/core/errors.ts";
import type { PlannedHost } from "../../plan/plan.ts";
import type { LocalContext } from "../context.ts";
import { followMonitrc, hasOtherMonitrc } from "../supervisor/monit.ts";
import { hasOtherUnits, hasUnits, installUnits, removeUnit } from "../supervisor/systemd.ts";
import { findTargets } from "../targets.ts";
import type { HostLook } from "./look.ts";
import type { Done } from "./rolling.ts";

/** What would be done, for --dry-run. */
export async function plannedForSupervisor(
  context: LocalContext,
  hosts: readonly PlannedHost[],
  look: HostLook,
): Promise<Done[]> {
  const planned: Done[] = [];
  for (const host of hosts) {
    const { name } = host;
    const isUnitWritten = isWritten(look, host, "systemd/") && (await hasUnits(context, name));
    if (isUnitWritten || (await hasOtherUnits(context, name)))
      planned.push({ node: "systemd", what: `install the units of host ${name} that differ` });
    if (context.supervisor !== "monit") continue;
    if (await hasOtherMonitrc(context, host, isWritten(look, host, "monit/")))
      planned.push({ node: "monit", what: `have it read the monitrc of host ${name} again` });
  }
  return planned;
}

/** Call it after the files are written and before anything is started: systemd starts what its own copy says. */
export async function followUnits(context: LocalContext, host: PlannedHost): Promise<Done[]> {
  if (!(await hasOtherUnits(context, host.name))) return [];
  const { written, folder } = await installUnits(context, host.name);
  return [{ node: "systemd", what: `${written.length} units written to ${folder}` }];
}

/** Call it after new nodes were started. */
export async function followMonit(
  context: LocalContext,
  host: PlannedHost,
  look: HostLook,
): Promise<{ readonly done: readonly Done[]; readonly warnings: readonly Problem[] }> {
  if (context.supervisor !== "monit") return { done: [], warnings: [] };
  const targets = await findTargets(context, [host]);
  const wasWritten = isWritten(look, host, "monit/");
  const { isReloaded, warnings } = await followMonitrc(context, host, targets, wasWritten);
  const done = { node: "monit", what: `reads the monitrc of host ${host.name} again` };
  return { done: isReloaded ? [done] : [], warnings };
}

/** Call it after the node was stopped. */
export async function endSupervision(context: LocalContext, node: string): Promise<void> {
  if (context.supervisor === "systemd") await removeUnit(context, node);
}

function isWritten({ otherFiles }: HostLook, { name }: PlannedHost, folder: string): boolean {
  return otherFiles.some(
    ({ host, file }) =>
      host.name === name && file.decision === "write" && file.file.path.startsWith(folder),
  );
}
