// rotate.ts: changes the cluster's password while everything runs, before any container is changed.
//
//   [O]  ──▶ every node, router and monitor accepts both     [O N]
//        ──▶ all of them use the new one                     [N O]
//        ──▶ the old one is refused                          [N], with twine:oldPassword it stays
//
// Invariant: the password that any process uses first is accepted by all others. Each stage ends before the next begins,
// and the files in the containers show where an interrupted rotation stopped. On hosts twine-password does the same with
// runtime/core/rotation.ts, whose notes on the status nodes let several machines wait for each other; here one program can
// read all containers.
import { systemClock } from "../../../runtime/ports/clock.ts";
import { runsRedis } from "../../../runtime/core/cluster.ts";
import { credentialsOf } from "../../../runtime/core/credentials.ts";
import { TwineError } from "../../../runtime/core/errors.ts";
import type { PlannedService } from "../../plan/plan.ts";
import { applyFiles } from "./apply-files.ts";
import { readFiles, type RunningContainer, type WantedFile } from "./running-files.ts";

/** A service that runs with its previous files; `wantedWith`: its files with these passwords, the one to use first. */
export interface RotatedService {
  readonly service: PlannedService;
  readonly container: RunningContainer;
  readonly wantedWith: (passwords: readonly string[]) => Promise<ReadonlyMap<string, WantedFile>>;
}

/** The files that a stage may change. */
const OF_PASSWORDS = new Set([
  ...["users.acl", "secret-health", "secret-replica", "password", "redis.conf"],
]);
/** Every process has read its password file again after this time: it checks the file four times a second. */
const READ_AGAIN_MS = 600;
const AT_ONCE = 8;

/** The lists of passwords of each stage; the last one is `wanted`. Empty when nothing has to change. Pure. */
export function rotationStages(
  /** The content of each router's and monitor's password file. */
  found: readonly (readonly string[])[],
  wanted: readonly string[],
): (readonly string[])[] {
  const [now = ""] = wanted;
  const isThere = found.every((list) => list.join("\n") === wanted.join("\n"));
  if (found.length === 0 || isThere) return [];
  const others = [...new Set(found.flat())].filter((password) => password !== now);
  const [old] = others;
  if (old === undefined) return [wanted];
  // A process already uses the new password: so all accept it, and some may no longer accept the old one.
  const isUsed = found.some(([first]) => first === now);
  return [...(isUsed ? [] : [[old, now]]), [now, old], wanted];
}

/**
 * `away`: names of services that don't run. Returns whether anything was changed. Throws ROTATION_AWAY, and the error of a
 * node that refuses the change.
 */
export async function rotate(
  services: readonly RotatedService[],
  away: readonly string[],
  wanted: readonly string[],
  onStage: (passwordCount: number, index: number) => Promise<void>,
): Promise<boolean> {
  const holders = services.filter(({ service }) => !runsRedis(service.kind));
  const found = await Promise.all(holders.map(({ container }) => passwordsIn(container)));
  const stages = rotationStages(
    found.filter((list) => list.length > 0),
    wanted,
  );
  if (stages.length > 0 && services.some(({ service }) => service.stack !== undefined)) {
    throw isOfStack();
  }
  if (stages.length > 0 && away.length > 0) throw isAway(away);
  for (const [index, passwords] of stages.entries()) {
    await onStage(passwords.length, index);
    // The password that all nodes already accept at this stage.
    const login = index === 0 && stages.length > 2 ? (passwords[0] ?? "") : (wanted[0] ?? "");
    // First the services that accept the password, then those that use it.
    const nodes = services.filter(({ service }) => runsRedis(service.kind));
    await eachOf(nodes, (one) => applyStage(one, passwords, login));
    await eachOf(holders, (one) => applyStage(one, passwords, login));
    await systemClock.delay(READ_AGAIN_MS);
  }
  return stages.length > 0;
}

/** Sentinel and twemproxy read their passwords at their start alone, and twemproxy has one for its clients and its nodes. */
function isOfStack(): TwineError {
  return new TwineError({
    code: "ROTATION_STACK",
    message:
      "the password can't be changed while twemproxy or Sentinel of this cluster run in containers",
    remedy:
      "set twine:password back; or change it with an outage: pulumi config set twine:protectData true, pulumi up, pulumi destroy, then with the new password pulumi up",
  });
}

/** It would come back with a password that is no longer accepted. */
function isAway(names: readonly string[]): TwineError {
  return new TwineError({
    code: "ROTATION_AWAY",
    message: `the password can't be changed while ${names.join(", ")} ${names.length === 1 ? "does" : "do"} not run`,
    remedy:
      "set twine:password back, run pulumi up --refresh until the cluster is OK, then change the password",
  });
}

async function passwordsIn(container: RunningContainer): Promise<string[]> {
  const files = await readFiles(container);
  return (files.get("password")?.toString() ?? "").split("\n").filter((line) => line !== "");
}

async function applyStage(
  { service, container, wantedWith }: RotatedService,
  passwords: readonly string[],
  login: string,
): Promise<void> {
  const all = await wantedWith(passwords);
  const held = await readFiles(container);
  const files = [...all].filter(([name]) => OF_PASSWORDS.has(name) && held.has(name));
  const wanted = files.map(([name, file]): [string, WantedFile] => [
    name,
    name === "redis.conf" ? withMasterauth(held.get(name), file) : file,
  ]);
  const [bind = "127.0.0.1"] = service.bind;
  await applyFiles({
    ...{ service, container, wanted: new Map(wanted) },
    redis: {
      address: bind === "0.0.0.0" ? "127.0.0.1" : bind,
      port: service.health.port,
      passwordOf: (user) => credentialsOf(user, login)?.password,
    },
  });
}

/** The rest of redis.conf is changed later. */
function withMasterauth(held: Buffer | undefined, wanted: WantedFile): WantedFile {
  const [line] = /^masterauth .*$/m.exec(wanted.content.toString()) ?? [];
  if (held === undefined || line === undefined) return wanted;
  const text = held.toString().replace(/^masterauth .*$/m, () => line);
  return { ...wanted, content: Buffer.from(text) };
}

async function eachOf<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const rest = [...items];
  const running = Array.from({ length: AT_ONCE }, async () => {
    for (let item = rest.shift(); item !== undefined; item = rest.shift()) await work(item);
  });
  await Promise.all(running);
}
