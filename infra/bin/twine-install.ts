#!/usr/bin/env node
// twine-install: finds redis-server or valkey-server, or installs it, or prints how to install it.
import { runTool, tool, type ToolOptions } from "../../runtime/cli/tool.ts";
import { EXIT } from "../../runtime/core/errors.ts";
import { ensureRedis, type Installed } from "../local/install/install.ts";
import { findRedis, redisMissing } from "../local/install/redis-program.ts";

async function main(): Promise<number> {
  const program = tool({
    name: "twine-install",
    summary:
      "Finds redis-server or valkey-server on this machine; without one, installs it with apt-get, dnf or brew if this user may. Otherwise it prints the commands.",
    examples: [
      "$ twine-install",
      "$ twine-install --check",
      "$ twine-install --json | jq -r .path",
    ],
    exitCodes: { 1: "there is none, and it could not be installed" },
  }).option("--check", "only look for it; install nothing");
  program.parse();
  const options = program.opts<ToolOptions & { readonly check?: boolean }>();
  const { program: redis, isNew } = options.check === true ? await look() : await install(options);
  if (options.json === true) process.stdout.write(`${JSON.stringify({ ...redis, isNew })}\n`);
  else process.stdout.write(`${redis.path} ${redis.version}${isNew ? " (just installed)" : ""}\n`);
  return EXIT.ok;
}

async function look(): Promise<Installed> {
  const found = await findRedis();
  if (found === undefined) throw redisMissing();
  return { program: found, isNew: false };
}

function install(options: ToolOptions): Promise<Installed> {
  return ensureRedis((line) => {
    if (options.json !== true) process.stderr.write(`${line}\n`);
  });
}

await runTool(main);
