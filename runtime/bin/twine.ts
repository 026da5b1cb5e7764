#!/usr/bin/env node
// twine: the real redis-cli on the whole cluster.
//
//   redis-cli -s SOCKET ...  <-- private unix socket -->  router core in this process  <-->  masters
//
// So everything that redis-cli can do works here, in its own ways: one command, the prompt, pipes, --pipe, --scan.
import { spawn } from "node:child_process";
import { accessSync, constants, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { constants as osConstants } from "node:os";
import { calledName, loadConf, readPassword, runTool, tool } from "../cli/tool.ts";
import { parseTwineArguments, type TwineArguments } from "../cli/redis-cli-arguments.ts";
import { EXIT, TwineError } from "../core/errors.ts";
import { requireSameHashing } from "../core/hashing.ts";
import { requireSameCluster } from "../core/same-cluster.ts";
import { systemClock } from "../ports/clock.ts";
import { loadPartitioner } from "../ports/hash-source.ts";
import { silentLog } from "../ports/log.ts";
import { openRedisLink } from "../ports/redis-link.ts";
import { followView } from "../register/follow.ts";
import { firstView, whyNoView } from "../register/open-view.ts";
import { startRouter } from "../router/server.ts";

const VIEW_WAIT_MS = 2500;
/** Longer paths don't fit a unix socket's address. */
const SOCKET_PATH_MAX = 100;

async function main(): Promise<number> {
  const parsed = parseTwineArguments(process.argv.slice(2));
  if (parsed.kind === "help") process.stdout.write(helpText());
  if (parsed.kind === "version") process.stdout.write(`${tool(TEXT).version() ?? ""}\n`);
  if (parsed.kind !== "run") return EXIT.ok;
  const redisCli = findRedisCli();
  // Warnings are twine-setup's to print: here they would stand before every reply.
  const { config } = loadConf(parsed.conf === undefined ? {} : { conf: parsed.conf });
  const password = readPassword() ?? parsed.password;
  const partitioner = await loadPartitioner(config);
  const ports = { config, password, clock: systemClock, log: silentLog };
  const viewSource = followView({ ...ports, openLink: openRedisLink });
  try {
    if (!(await firstView(viewSource, systemClock, VIEW_WAIT_MS))) {
      throw await whyNoView(config, password, systemClock);
    }
    requireSameCluster(viewSource.current(), config);
    requireSameHashing(viewSource.current(), config);
    const folder = privateFolder();
    const path = join(folder, "twine.sock");
    const router = await startRouter({ ...ports, viewSource, partitioner, listen: { path } });
    try {
      return await runRedisCli(redisCli, path, parsed, password);
    } finally {
      await router.close();
      rmSync(folder, { recursive: true, force: true });
    }
  } finally {
    await viewSource.close();
    await partitioner.close();
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
  --help       this text; redis-cli --help tells of all its own options
  --version    the version of Twine

Everything else is redis-cli's, but for the options that name another server
(-h -p -s -u -c --cluster --rdb --replica --tls ...). With TWINE_PASSWORD_FILE set the password is
shown for you; otherwise -a PASSWORD is taken for the cluster's.

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

/** redis-cli, or valkey-cli in its place. Throws REDIS_CLI_MISSING. */
function findRedisCli(): string {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  for (const name of ["redis-cli", "valkey-cli"]) {
    for (const folder of folders) {
      try {
        accessSync(join(folder, name), constants.X_OK);
        return join(folder, name);
      } catch {
        // Not here: the next folder may have it.
      }
    }
  }
  throw new TwineError({
    code: "REDIS_CLI_MISSING",
    message: "there is neither redis-cli nor valkey-cli on PATH",
    remedy: "run twine-install, which installs Redis or says how",
  });
}

/** A folder that only this user may enter, removed when the process ends, whatever ends it. */
function privateFolder(): string {
  const isShort = join(tmpdir(), "twine-123456", "twine.sock").length <= SOCKET_PATH_MAX;
  const folder = mkdtempSync(join(isShort ? tmpdir() : "/tmp", "twine-"));
  process.once("exit", () => {
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

/** Resolves with redis-cli's exit code. */
function runRedisCli(
  program: string,
  socketPath: string,
  { rest }: TwineArguments,
  password: string | undefined,
): Promise<number> {
  // A REDISCLI_AUTH of the caller's is for another server: this one has the cluster's password or none.
  const env = { ...process.env };
  delete env["REDISCLI_AUTH"];
  const child = spawn(program, ["-s", socketPath, ...rest], {
    stdio: "inherit",
    env: password === undefined ? env : { ...env, REDISCLI_AUTH: password },
  });
  // Ctrl-C reaches redis-cli by itself and means its command, not this process; what ends us must end it too.
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
