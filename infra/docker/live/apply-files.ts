// apply-files.ts: updates the files of one running container to those of the plan, and makes its process apply them.
//
//   data node, status node   ACL SETUSER, CONFIG SET, then the files: a refused setting never gets into a file
//   monitor, router          write the files with the mark `untaken`, SIGHUP, remove the mark: the next `up` finishes a
//                            killed one
import { systemClock } from "../../../runtime/ports/clock.ts";
import { containerChange } from "../../plan/container-change.ts";
import type { PlannedService } from "../../plan/plan.ts";
import { confChange } from "../../plan/setting-changes.ts";
import { runsRedis } from "../../../runtime/core/cluster.ts";
import { TwineError } from "../../../runtime/core/errors.ts";
import { callEngine, containerLog } from "../engine-call.ts";
import {
  isRunning,
  readFiles,
  textsOf,
  writeFiles,
  type RunningContainer,
  type WantedFile,
} from "./running-files.ts";
import { passwordChanges, setPasswords } from "./set-passwords.ts";
import { setSettings, type RedisAccess } from "./set-settings.ts";

/** In /etc/twine: "yes" until the process has been sent SIGHUP for the new files. */
const UNTAKEN = "untaken";
/** The processes read it by themselves whenever they use it. */
const LOOKED_AT = new Set(["password"]);

export interface ApplyInput {
  readonly container: RunningContainer;
  readonly service: Pick<PlannedService, "kind" | "name" | "stack">;
  readonly wanted: ReadonlyMap<string, WantedFile>;
  readonly redis: RedisAccess;
}

/** The changes as text; empty when there were none. Throws a TwineError when the node refuses a change. */
export async function applyFiles(input: ApplyInput): Promise<readonly string[]> {
  const { container, service, wanted } = input;
  const found = await readFiles(container);
  const held = new Map([...found].filter(([name]) => wanted.has(name)));
  const isUntaken = found.get(UNTAKEN)?.toString().trim() === "yes";
  const change = containerChange(service, textsOf(held), textsOf(wanted));
  if (change.kind === "replaced") throw notTaken(input, change.why);
  if (change.kind === "none" && !isUntaken) return [];
  const files = change.kind === "none" ? [] : change.files;
  const changed = new Map([...wanted].filter(([name]) => files.includes(name)));
  if (!(await isRunning(container))) {
    await writeFiles(container, changed);
    return files.map((name) => `${name} for its next start`);
  }
  if (!runsRedis(service.kind)) return tellProcess(container, service.name, changed);
  const textOf = (name: string): [was: string, is: string] => [
    held.get(name)?.toString() ?? "",
    wanted.get(name)?.content.toString() ?? "",
  ];
  const users = passwordChanges(...textOf("users.acl"));
  await setPasswords(input.redis, container, service.name, users);
  const { settings } = confChange(...textOf("redis.conf"));
  const words = await setSettings(input.redis, container, service.name, settings);
  await writeFiles(container, changed);
  return words.length > 0 ? words : [...changed.keys()];
}

const TAKEN_WITHIN_MS = 10_000;
const LOOK_EVERY_MS = 100;
const LOG_LINES = 200;
/** Log lines of twine-router and twined. */
const TAKEN = /"twine\.conf is read anew"|"\+read"/;
const REFUSED = /"(twine\.conf is not taken: [^"]*)|"refused":true.*"why":"([^"]*)/;

/** Throws CONF_NOT_TAKEN. A process that logs nothing in time may be busy: the monitors' adoption decides in the end. */
async function untilTaken(
  container: RunningContainer,
  node: string,
  before: ReadonlySet<string>,
): Promise<void> {
  const endMs = systemClock.nowMs() + TAKEN_WITHIN_MS;
  while (systemClock.nowMs() < endMs) {
    const lines = (await linesOf(container)).filter((line) => !before.has(line));
    const [refused] = lines.flatMap((line) => REFUSED.exec(line) ?? []);
    if (refused !== undefined) {
      throw new TwineError({
        code: "CONF_NOT_TAKEN",
        message: `${node} refused its new files and still uses the old ones: ${refused}`,
        remedy: "correct the error that it names, then run pulumi up again",
      });
    }
    if (lines.some((line) => TAKEN.test(line))) return;
    await systemClock.delay(LOOK_EVERY_MS);
  }
}

async function linesOf({ endpoint, id }: RunningContainer): Promise<string[]> {
  return (await containerLog(endpoint, id, LOG_LINES, true)).split("\n");
}

async function tellProcess(
  container: RunningContainer,
  node: string,
  changed: ReadonlyMap<string, WantedFile>,
): Promise<readonly string[]> {
  const names = [...changed.keys()];
  if (names.length > 0 && names.every((name) => LOOKED_AT.has(name))) {
    await writeFiles(container, changed);
    return names;
  }
  const mark = (text: string): [string, WantedFile] => [
    UNTAKEN,
    { content: Buffer.from(`${text}\n`), mode: 0o644, uid: 0 },
  ];
  await writeFiles(container, new Map([...changed, mark("yes")]));
  const before = await linesOf(container);
  await callEngine(container.endpoint, `/containers/${container.id}/kill?signal=HUP`, {
    method: "POST",
  });
  await untilTaken(container, node, new Set(before));
  await writeFiles(container, new Map([mark("no")]));
  return [...changed.keys()];
}

/** Pulumi compares with the container's original files; these were changed since. */
function notTaken({ service, container }: ApplyInput, why: string): TwineError {
  return new TwineError({
    code: "DOCKER_FILES_DIFFER",
    message: `the files in the container of ${service.name} are not those of any twine.conf: ${why}`,
    remedy: `remove the container, its volume stays: docker rm -f ${container.id.slice(0, 12)}, then pulumi up --refresh`,
  });
}
