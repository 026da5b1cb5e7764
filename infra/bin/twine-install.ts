#!/usr/bin/env node
// twine-install: finds redis-server or valkey-server, and nutcracker or monit where twine.conf needs them, or installs them, or
// prints how to install them.
import { existsSync } from "node:fs";
import { loadConf, runTool, tool, type ToolOptions } from "../../runtime/cli/tool.ts";
import { EXIT } from "../../runtime/core/errors.ts";
import { ensureExtras, ensureRedis, type Installed } from "../local/install/install.ts";
import { extraPrograms, type Extra } from "../local/install/install-steps.ts";
import { findRedis, redisMissing } from "../local/install/redis-program.ts";

interface InstallOptions extends ToolOptions {
  readonly check?: boolean;
}

async function main(): Promise<number> {
  const program = tool({
    name: "twine-install",
    summary:
      "Finds redis-server or valkey-server on this machine; without one, installs it with apt-get, dnf or brew if this user may. Otherwise it prints the commands. With a twine.conf that says router twemproxy or supervisor monit, the same for nutcracker and monit.",
    examples: [
      "$ twine-install",
      "$ twine-install --check",
      "$ twine-install --json | jq -r .path",
    ],
    exitCodes: { 1: "one is missing, and could not be installed" },
  }).option("--check", "only look for it; install nothing");
  program.parse();
  const options = program.opts<InstallOptions>();
  const extras = extrasOf(options);
  const isOnlyLook = options.check === true;
  const say = (line: string): void => {
    if (options.json !== true) process.stderr.write(`${line}\n`);
  };
  const { program: redis, isNew } = isOnlyLook ? await look() : await ensureRedis(say);
  const more = await ensureExtras(extras, say, !isOnlyLook);
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify({ ...redis, isNew, more })}\n`);
    return EXIT.ok;
  }
  const words = (isFresh: boolean): string => (isFresh ? " (just installed)" : "");
  process.stdout.write(`${redis.path} ${redis.version}${words(isNew)}\n`);
  for (const each of more) process.stdout.write(`${each.path}${words(each.isNew)}\n`);
  return EXIT.ok;
}

/** Without a twine.conf there is nothing beside redis-server to look for. */
function extrasOf(options: InstallOptions): readonly Extra[] {
  const isNamed = options.conf !== undefined || (process.env["TWINE_CONF"] ?? "") !== "";
  if (!isNamed && !["twine.conf", "roma.conf"].some((file) => existsSync(file))) return [];
  return extraPrograms(loadConf(options).config.settings);
}

async function look(): Promise<Installed> {
  const found = await findRedis();
  if (found === undefined) throw redisMissing();
  return { program: found, isNew: false };
}

await runTool(main);
