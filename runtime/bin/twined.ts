#!/usr/bin/env node
// twined: one monitor. Several monitors observe the cluster; one of them, the alpha, leads it.
import { requireTwinesMonitors } from "../core/not-with-sentinel.ts";
import { hostname } from "node:os";
import { resolve } from "node:path";
import { Registry } from "prom-client";
import { createSender } from "../alert/sender.ts";
import { sendTestAlert } from "../alert/test-alert.ts";
import { backupServices } from "../backup/backup-services.ts";
import { openTargets } from "../backup/targets/open-targets.ts";
import { claimFolder } from "../cli/claim-folder.ts";
import { binPath } from "../cli/package-root.ts";
import { listenOn } from "../cli/listen.ts";
import { readTemplate } from "../cli/read-template.ts";
import { readSmtpPassword } from "../cli/smtp-password.ts";
import { loadConf, printWarnings, readPassword, runTool, tool, twineVersion } from "../cli/tool.ts";
import type { ClusterConfig, MonitorNode } from "../core/cluster.ts";
import { credentialsOf, type Secret } from "../core/credentials.ts";
import { EXIT } from "../core/errors.ts";
import type { Hashing } from "../core/hashing.ts";
import type { MalformedEntry } from "../core/shared-entries.ts";
import { namedNode } from "../core/named-node.ts";
import { openRawCutLink } from "../monitor/act/cut-links.ts";
import { createEmit } from "../monitor/emit.ts";
import { startAlerts } from "../monitor/alerts.ts";
import type { ReadConf } from "../monitor/adopted.ts";
import { monitorApp, serveHttp } from "../monitor/http.ts";
import { countMails } from "../monitor/metrics/alert-count.ts";
import { countDroppedLines } from "../monitor/metrics/log-count.ts";
import { countFailovers, type FailoverCount } from "../monitor/metrics/count-failovers.ts";
import { timedAcceptors } from "../monitor/metrics/register-latency.ts";
import { RESCUE_MS_MAX } from "../monitor/decide/returning/rogue.ts";
import { createRescuer, type Rescuer } from "../replication/rescue.ts";
import { startMonitor, type Monitor } from "../monitor/monitor.ts";
import { openSentinelPort } from "../monitor/sentinel/sentinel-port.ts";
import { systemClock } from "../ports/clock.ts";
import { loadHashing } from "../ports/hash-source.ts";
import { readHttpToken } from "../ports/http-token.ts";
import { openFilesMax } from "../ports/open-files.ts";
import { pinoLog, type ProcessLog } from "../ports/process-log.ts";
import { systemRandom } from "../ports/random.ts";
import { provide, runServices, type Provider, type Service } from "../ports/services.ts";
import { openRdbStream } from "../replication/rdb-stream.ts";
import { openRedisLink } from "../ports/redis-link.ts";
import { openAcceptors, type StatusNodesOptions } from "../register/acceptors.ts";
import { openSharedHashes, type SharedHashes } from "../register/shared-hashes.ts";
import { readAdoptedConf } from "../register/adopted-conf.ts";
import { readRegister } from "../register/read.ts";
import { errorText } from "../core/error-text.ts";

const program = tool({
  name: "twined",
  summary:
    "Runs one monitor of the cluster in the foreground: it watches the nodes and, when it is alpha, leads them. SIGHUP reads twine.conf again and reopens the log.",
  examples: [
    "$ twined m1 --conf twine.conf",
    "$ twined --test-alert",
    "$ curl -s localhost:7601/healthz",
  ],
  dir: "folder for rescue/, the data that a node accepted while another was master (default: the current folder)",
})
  .argument("[name]", "a monitor of twine.conf")
  .option("--claim", "--dir is a volume: stamp it, and refuse one that is not this cluster's")
  .option("--test-alert", "send a test mail to alert-mail, print the result, and end");

interface TwinedOptions {
  readonly conf?: string;
  /** Rescued data is written below it; the current folder when absent. */
  readonly dir?: string;
  readonly claim?: boolean;
  readonly json?: boolean;
  readonly testAlert?: boolean;
}

async function main(): Promise<number> {
  program.parse();
  const options = program.opts<TwinedOptions>();
  const loaded = loadConf(options);
  requireTwinesMonitors(loaded.config, "twined", "twine-start, which starts Sentinel");
  printWarnings(loaded.warnings);
  const [name] = program.args;
  if (options.testAlert === true) return testAlert(loaded.config, options.json === true);
  if (name === undefined) return program.error("missing required argument 'name'");
  return runMonitor(options, loaded.config, name);
}

/** The settings of this machine for sending mail. */
function mailPorts() {
  return {
    send: createSender({ clock: systemClock, hostName: hostname(), password: readSmtpPassword }),
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

/** Saves the data that only a rogue master has into the folder `rescue` below --dir, or the current folder. */
function rescuerIn(
  { dir = ".", claim = false }: TwinedOptions,
  { settings: { cluster } }: ClusterConfig,
  password: Secret | undefined,
): Rescuer {
  const warning = claim ? claimFolder(dir, cluster) : undefined;
  if (warning !== undefined) printWarnings([warning]);
  return createRescuer({
    folder: resolve(dir, "rescue"),
    credentials: credentialsOf("monitor", password),
    clock: systemClock,
    rescueMsMax: RESCUE_MS_MAX,
    openStream: openRdbStream,
  });
}

/** No service needs longer to stop, unless it hangs. */
const STOP_MS_MAX = 10_000;

async function runMonitor(
  options: TwinedOptions,
  loaded: ClusterConfig,
  name: string,
): Promise<number> {
  let config = loaded;
  const { services, monitor, log } = servicesOf(
    options,
    () => config,
    namedNode(config, "monitor", name),
    await loadHashing(config),
  );
  let hasStarted = false;
  await runServices({
    clock: systemClock,
    services,
    stopMsMax: STOP_MS_MAX,
    ended: untilSignal("SIGTERM", "SIGINT"),
    onStarted: () => {
      hasStarted = true;
      const { emit } = monitor.running;
      emit("+start", {
        port: namedNode(config, "monitor", name).port,
        cluster: config.settings.cluster,
      });
      let reloading = Promise.resolve();
      process.on("SIGHUP", () => {
        log.reopen();
        reloading = reloading.then(async () => {
          config = await reload(options, monitor.running, config);
        });
      });
    },
    onStopped: (service, error) => {
      if (error !== undefined)
        createEmit(log)("-task", { task: `stop of ${service}`, why: error.message });
      if (service === "monitor" && hasStarted) monitor.running.emit("+stop");
    },
  });
  return EXIT.ok;
}

interface MonitorServices {
  /** In the order in which they start. */
  readonly services: readonly Service[];
  readonly monitor: Provider<Monitor>;
  readonly log: ProcessLog;
}

/** The services of one twined. A new service is one more entry of the list. */
function servicesOf(
  options: TwinedOptions,
  config: () => ClusterConfig,
  { name, host, port }: MonitorNode,
  hashing: Hashing,
): MonitorServices {
  const started = config();
  const password = readPassword();
  const log = pinoLog(name);
  const ports = { config: started, hashing, password, clock: systemClock, openLink: openRedisLink };
  const registry = new Registry();
  countDroppedLines(registry, () => log.droppedCount());
  const links = openAcceptors({ ...ports, user: "monitor" });
  const acceptors = timedAcceptors(links.acceptors, systemClock, registry);
  const hashes = sharedHashes(ports, () => monitor.running);
  const readConf = readConfBy(ports);
  const addresses = listenOn(host, password !== undefined);
  const monitor = provide(
    "monitor",
    () =>
      startMonitor({
        ...ports,
        ...{ name, log, acceptors, random: systemRandom },
        ...{ hashes, readConf, openCutLink: openRawCutLink },
        rescuer: rescuerIn(options, started, password),
      }),
    (running) => running.stop(),
  );
  const failovers = failoverCounter(monitor, config);
  const http = provide(
    "HTTP",
    () => {
      // Errors in the file must be reported now, not at the first request.
      readHttpToken(config());
      const app = monitorApp({
        ...{ monitor: monitor.running, clock: systemClock, registry, config },
        version: twineVersion(),
        failoverCount: () => failovers.running.count(),
        statusTemplate: readTemplate("status.html.hbs"),
        read: () => readRegister(acceptors, started.settings.cluster),
        readRequests: () => hashes.readRequests(),
      });
      return serveHttp(app, addresses, port, openFilesMax());
    },
    (running) => running.close(),
  );
  const sentinel = provide(
    "Sentinel port",
    () => {
      const own = { name, config, log, emit: monitor.running.emit, addresses };
      const readOffsets = (): Promise<ReadonlyMap<string, string>> => hashes.readOffsets();
      return openSentinelPort({ ...ports, ...own, readOffsets, filesMax: openFilesMax() });
    },
    (running) => running.close(),
  );
  const services = [
    onlyClosed("status nodes", () => {
      links.close();
    }),
    onlyClosed("shared hashes", () => hashes.close()),
    monitor,
    failovers,
    alerts(name, monitor, hashes, config, registry),
    ...backups(monitor, config),
    sentinel,
    http,
  ];
  return { services, monitor, log };
}

/** Each entry that a monitor removes from a status node is an event. */
function sharedHashes(ports: StatusNodesOptions, monitor: () => Monitor): SharedHashes {
  const onMalformed = (entry: MalformedEntry): void => {
    monitor().emit("-entry", { ...entry });
  };
  return openSharedHashes({ ...ports, user: "monitor", onMalformed });
}

function readConfBy(ports: StatusNodesOptions): ReadConf {
  return (digest) => readAdoptedConf({ ...ports, user: "monitor" }, digest);
}

/** Connections that open at their first use. */
function onlyClosed(name: string, close: () => unknown): Service {
  return provide(name, () => undefined, close);
}

function failoverCounter(
  monitor: Provider<Monitor>,
  config: () => ClusterConfig,
): Provider<FailoverCount> {
  const everyMs = (): number => config().settings.leaseMs / 5;
  return provide(
    "failover counter",
    () => countFailovers(systemClock, everyMs, () => monitor.running.view()),
    (running) => running.stop(),
  );
}

function alerts(
  name: string,
  monitor: Provider<Monitor>,
  hashes: SharedHashes,
  config: () => ClusterConfig,
  registry: Registry,
): Service {
  let reported = "";
  const start = () =>
    startAlerts({
      ...mailPorts(),
      name,
      monitor: monitor.running,
      clock: systemClock,
      config,
      hashes,
      emit: monitor.running.emit,
      onMail: countMails(registry),
      onTrouble: (error) => {
        const why = String(error);
        // A repeated error is one event.
        if (why !== reported) monitor.running.emit("-task", { task: "alerts", why });
        reported = why;
      },
    });
  return provide("alerts", start, (running) => running.stop());
}

/** Periodic backups, rehearsals and the archive, while this monitor is alpha. */
function backups(monitor: Provider<Monitor>, config: () => ClusterConfig): Service[] {
  return backupServices({
    clock: systemClock,
    config,
    isAlpha: () => monitor.running.health().isAlpha,
    view: () => monitor.running.view(),
    openTargets: (conf) =>
      openTargets(conf, {
        clock: systemClock,
        owner: { host: hostname(), pid: process.pid },
        env: process.env,
      }),
    tool: (file, ...more) => [
      ...([process.execPath, binPath("twine-backup", "runtime"), "--conf", file] as const),
      ...more,
    ],
    emit: (event, fields) => {
      monitor.running.emit(event, fields);
    },
    noteBackup: (state) => {
      monitor.running.noteBackup(state);
    },
    noteArchive: (state) => {
      monitor.running.noteArchive(state);
    },
  });
}

function untilSignal(...signals: readonly NodeJS.Signals[]): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of signals)
      process.once(signal, () => {
        resolve();
      });
  });
}

/** A file with an error changes nothing. */
async function reload(
  options: TwinedOptions,
  monitor: Monitor,
  config: ClusterConfig,
): Promise<ClusterConfig> {
  try {
    const changed = loadConf(options).config;
    const why = monitor.reload(changed, await loadHashing(changed));
    if (why !== undefined) return config;
    monitor.emit("+read", { file: changed.file });
    return changed;
  } catch (error) {
    const why = errorText(error);
    monitor.emit("-conf", { refused: true, why });
    return config;
  }
}

await runTool(main);
