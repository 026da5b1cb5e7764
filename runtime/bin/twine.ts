#!/usr/bin/env node
// twine: runs redis-cli on the whole cluster.
//
//   redis-cli -s SOCKET ...  <-- private unix socket -->  the engine in this process  <-->  masters
//
// So all features of redis-cli work: one command, the prompt, pipes, --pipe, --scan.
import { proxyCommand, requireTwinesMonitors } from "../core/not-with-sentinel.ts";
import { spawn } from "node:child_process";
import { accessSync, constants, rmSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { constants as osConstants } from "node:os";
import { calledName, loadConf, readPassword, runTool, tool } from "../cli/tool.ts";
import { parseTwineArguments, type TwineArguments } from "../cli/redis-cli-arguments.ts";
import { EXIT, TwineError } from "../core/errors.ts";
import { ClusterEngine } from "../engine/cluster-engine.ts";
import { systemClock } from "../ports/clock.ts";
import { silentLog } from "../ports/log.ts";

async function main(): Promise<number> {
  const parsed = parseTwineArguments(process.argv.slice(2));
  if (parsed.kind === "help") process.stdout.write(helpText());
  if (parsed.kind === "version") process.stdout.write(`${tool(TEXT).version() ?? ""}\n`);
  if (parsed.kind !== "run") return EXIT.ok;
  const redisCli = findRedisCli();
  // twine-setup prints warnings: here they would appear before every reply.
  const { config } = loadConf(parsed.conf === undefined ? {} : { conf: parsed.conf });
  requireTwinesMonitors(config, "twine", proxyCommand(config));
  const password = readPassword() ?? parsed.password;
  let giveUp: (why: TwineError) => void = () => undefined;
  const noView = new Promise<never>((_resolve, reject) => (giveUp = reject));
  const cluster = new ClusterEngine({
    ...{ config, password, clock: systemClock, log: silentLog },
    onNoView: giveUp,
  });
  let removeSocket: () => Promise<void> = () => Promise.resolve();
  try {
    const engine = await Promise.race([cluster.ready, noView]);
    if (engine === undefined) return EXIT.failure;
    const listener = await engine.listenLocally();
    removeSocket = () => listener.close();
    // However this process ends.
    process.once("exit", () => {
      rmSync(dirname(listener.path), { recursive: true, force: true });
    });
    return await runRedisCli(redisCli, listener.path, parsed);
  } finally {
    await cluster.close();
    await removeSocket();
  }
}

const TEXT = {
  name: "twine",
  summary: "Runs redis-cli on the whole cluster of twine.conf.",
  examples: [],
};

function helpText(): string {
  const name = calledName("twine");
  return `Usage: ${name} [--conf FILE] [arguments of redis-cli]

Runs the real redis-cli on the whole cluster of twine.conf, as if it were one Redis.

Options of ${name}, before all others:
  --conf FILE  the cluster's file (else $TWINE_CONF, ./twine.conf, ./roma.conf)
  --help       this text; redis-cli --help lists its own options
  --version    the version of Twine

Everything else is redis-cli's, but for the options that name another server
or another user (-h -p -s -u -c --cluster --rdb --replica --tls --user ...). With TWINE_PASSWORD_FILE set,
the password is read from that file; otherwise give -a PASSWORD.

Examples:
  $ ${name} set foo bar
  $ ${name} get foo
  $ ${name}                              # the prompt
  $ echo "set a 1" | ${name}
  $ ${name} --scan --pattern 'user:*'
  $ ${name} --json hgetall h
  $ ${name} --pipe < commands.resp
  $ ${name} --conf other/twine.conf dbsize

Exit codes:
  redis-cli's own, and:
    1  no redis-cli, or no view of the cluster; the error says why
    2  wrong usage
`;
}

/** redis-cli, otherwise valkey-cli. Throws REDIS_CLI_MISSING. */
function findRedisCli(): string {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  for (const name of ["redis-cli", "valkey-cli"]) {
    for (const folder of folders) {
      try {
        accessSync(join(folder, name), constants.X_OK);
        return join(folder, name);
      } catch {
        // Not in this folder: try the next one.
      }
    }
  }
  throw new TwineError({
    code: "REDIS_CLI_MISSING",
    message: "there is neither redis-cli nor valkey-cli on PATH",
    remedy: "run twine-install: it installs Redis or prints the commands",
  });
}

/** Resolves with redis-cli's exit code. */
function runRedisCli(
  program: string,
  socketPath: string,
  { rest }: TwineArguments,
): Promise<number> {
  // The caller's REDISCLI_AUTH is for another server: this socket accepts every client that may open it, without a
  // password.
  const env = { ...process.env };
  delete env["REDISCLI_AUTH"];
  const child = spawn(program, ["-s", socketPath, ...rest], {
    stdio: "inherit",
    env,
  });
  // Ctrl-C also reaches redis-cli, and cancels its command, not this process; other signals must end both.
  process.on("SIGINT", () => undefined);
  for (const signal of ["SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => child.kill(signal));
  }
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => {
      resolve(code ?? 128 + (signal === null ? 0 : osConstants.signals[signal]));
    });
  });
}

await runTool(main);
