#!/usr/bin/env node
// twined: one monitor. Several of them watch the cluster; one, the alpha, leads it.
import { hostname } from "node:os";
import { resolve } from "node:path";
import { Registry } from "prom-client";
import { createSender } from "../alert/sender.ts";
import { sendTestAlert } from "../alert/test-alert.ts";
import { claimFolder } from "../cli/claim-folder.ts";
import { listenOn } from "../cli/listen.ts";
import { readTemplate } from "../cli/read-template.ts";
import { readSmtpPassword } from "../cli/smtp-password.ts";
import { loadConf, printWarnings, readPassword, runTool, tool, twineVersion } from "../cli/tool.ts";
import type { ClusterConfig } from "../core/cluster.ts";
import { credentialsOf } from "../core/credentials.ts";
import { EXIT } from "../core/errors.ts";
import { namedNode } from "../core/named-node.ts";
import { startAlerts } from "../monitor/alerts.ts";
import { monitorApp, serveHttp } from "../monitor/http.ts";
import { countMails } from "../monitor/metrics/alert-count.ts";
import { countFailovers } from "../monitor/metrics/count-failovers.ts";
import { timedAcceptors } from "../monitor/metrics/register-latency.ts";
import { createRescuer, type Rescuer } from "../monitor/act/rescue.ts";
import { startMonitor, type Monitor } from "../monitor/monitor.ts";
import { openSentinelPort, type SentinelPort } from "../monitor/sentinel/sentinel-port.ts";
import { systemClock } from "../ports/clock.ts";
import { pinoLog } from "../ports/log.ts";
import { systemRandom } from "../ports/random.ts";
import { openRdbStream } from "../ports/rdb-stream.ts";
import { openRedisLink } from "../ports/redis-link.ts";
import { openAcceptors } from "../register/acceptors.ts";
import { createNoticeBoard, type NoticeBoard } from "../register/notice-board.ts";
import { readRegister } from "../register/read.ts";

const program = tool({
  name: "twined",
  summary:
    "Runs one monitor of the cluster in the foreground: it watches the nodes and, when it is alpha, leads them. SIGHUP reads twine.conf again.",
  examples: [
    "$ twined m1 --conf twine.conf",
    "$ twined --test-alert",
    "$ curl -s localhost:7601/healthz",
  ],
  dir: "where rescue/ is made, for what a node took that was not to be master (else the present folder)",
})
  .argument("[name]", "a monitor of twine.conf")
  .option("--claim", "--dir is a volume: stamp it, and refuse one that is not this cluster's")
  .option("--test-alert", "mail a test to alert-mail, say what became of it, and end");

interface TwinedOptions {
  readonly conf?: string;
  /** Rescued data goes below it; the present folder when absent. */
  readonly dir?: string;
  readonly claim?: boolean;
  readonly json?: boolean;
  readonly testAlert?: boolean;
}

async function main(): Promise<number> {
  program.parse();
  const options = program.opts<TwinedOptions>();
  const loaded = loadConf(options);
  printWarnings(loaded.warnings);
  const [name] = program.args;
  if (options.testAlert === true) return testAlert(loaded.config, options.json === true);
  if (name === undefined) return program.error("missing required argument 'name'");
  return runMonitor(options, loaded.config, name);
}

/** Mail as this machine sends it. */
function mailPorts() {
  return {
    send: createSender({
      clock: systemClock,
      hostName: hostname(),
      password: readSmtpPassword,
    }),
    templates: {
      text: readTemplate("mail-alert.txt.hbs"),
      html: readTemplate("mail-alert.html.hbs"),
    },
  };
}

async function testAlert({ file, settings }: ClusterConfig, isJson: boolean): Promise<number> {
  const { alertMail: to, alertSmtp: smtp, cluster } = settings;
  const route = { to, smtp, file };
  const from = `twined --test-alert on ${hostname()}`;
  const { accepted, response } = await sendTestAlert({ cluster, from, route, ...mailPorts() });
  const said = isJson
    ? JSON.stringify({ accepted, smtp, response })
    : `${smtp} took the mail for ${accepted.join(", ")}: ${response}`;
  process.stdout.write(`${said}\n`);
  return EXIT.ok;
}

/** Saves what a rogue master alone has into the folder `rescue` below --dir, or the present folder. */
function rescuerIn(
  { dir = ".", claim = false }: TwinedOptions,
  { settings: { cluster } }: ClusterConfig,
  password: string | undefined,
): Rescuer {
  const warning = claim ? claimFolder(dir, cluster) : undefined;
  if (warning !== undefined) printWarnings([warning]);
  return createRescuer({
    folder: resolve(dir, "rescue"),
    credentials: credentialsOf("monitor", password),
    clock: systemClock,
    openStream: openRdbStream,
  });
}

async function runMonitor(
  options: TwinedOptions,
  loaded: ClusterConfig,
  name: string,
): Promise<number> {
  let config = loaded;
  const node = namedNode(config, "monitor", name);
  const password = readPassword();
  const log = pinoLog(node.name);
  const ports = { config, password, clock: systemClock, openLink: openRedisLink };
  const opened = openAcceptors({ ...ports, user: "monitor" });
  const registry = new Registry();
  const acceptors = timedAcceptors(opened.acceptors, systemClock, registry);
  const board = createNoticeBoard({ ...ports, user: "monitor" });
  const monitor = startMonitor({
    ...ports,
    name: node.name,
    random: systemRandom,
    log,
    acceptors,
    board,
    rescuer: rescuerIn(options, config, password),
  });
  const mails = startMails(node.name, monitor, board, () => config, registry);
  const failovers = countFailovers(
    systemClock,
    () => config.settings.leaseMs / 5,
    () => monitor.view(),
  );
  let sentinel: SentinelPort | undefined;
  let hasStarted = false;
  try {
    const app = monitorApp({
      monitor,
      clock: systemClock,
      registry,
      version: twineVersion(),
      failoverCount: () => failovers.count(),
      statusTemplate: readTemplate("status.html.hbs"),
      config: () => config,
      read: () => readRegister(acceptors, config.settings.cluster),
    });
    const addresses = listenOn(node.host, password !== undefined);
    sentinel = await openSentinelPort({
      ...ports,
      name: node.name,
      config: () => config,
      log,
      emit: monitor.emit,
      addresses,
      readOffsets: () => board.readOffsets(),
    });
    const server = await serveHttp(app, addresses, node.port);
    hasStarted = true;
    monitor.emit("+start", { port: node.port, cluster: config.settings.cluster });
    await untilEnded(() => {
      config = reload(options, monitor, config);
    });
    await server.close();
    return EXIT.ok;
  } finally {
    await sentinel?.close();
    mails.stop();
    failovers.stop();
    await monitor.stop();
    if (hasStarted) monitor.emit("+stop");
    await board.close();
    opened.close();
  }
}

function startMails(
  name: string,
  monitor: Monitor,
  board: NoticeBoard,
  config: () => ClusterConfig,
  registry: Registry,
): { stop(): void } {
  let told = "";
  return startAlerts({
    ...mailPorts(),
    name,
    monitor,
    clock: systemClock,
    config,
    board,
    emit: monitor.emit,
    onMail: countMails(registry),
    onTrouble: (error) => {
      const why = String(error);
      // The same trouble again and again is one event.
      if (why !== told) monitor.emit("-task", { task: "alerts", why });
      told = why;
    },
  });
}

/** Resolves at SIGTERM or SIGINT; SIGHUP calls `onHangUp`. */
function untilEnded(onHangUp: () => void): Promise<void> {
  return new Promise((resolve) => {
    process.on("SIGHUP", onHangUp);
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.once(signal, () => {
        resolve();
      });
    }
  });
}

/** A file that can't be used leaves everything as it was. */
function reload(options: TwinedOptions, monitor: Monitor, config: ClusterConfig): ClusterConfig {
  try {
    const changed = loadConf(options).config;
    const why = monitor.reload(changed);
    if (why !== undefined) return config;
    monitor.emit("+read", { file: changed.file });
    return changed;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    monitor.emit("-conf", { refused: true, why });
    return config;
  }
}

await runTool(main);
