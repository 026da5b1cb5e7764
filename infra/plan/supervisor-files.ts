// supervisor-files.ts: the files for the supervisor of a host: monitrc, or systemd units. Pure.
//
//   monit      monit/monitrc                          its pid file, log and so on are in the same folder
//   systemd    systemd/twine-CLUSTER-NODE.service     one per node, router and monitor
//              systemd/twine-CLUSTER-HOST.target      all services of the host
//              systemd/before-start.sh                run first by each redis-server's unit
//              systemd/twine-CLUSTER-HOST.logrotate
//
// monit changes to /, and its PATH may differ: every path is absolute, and a tool's command contains the environment
// variables that it needs.
import type { ClusterConfig } from "../../runtime/core/cluster.ts";
import { sentinelTimeMs, unitFiles } from "./unit-files.ts";
import type { Installation, PlannedFile, PlannedService } from "./plan.ts";

/** Files of the host, `services` in the order in which they start. */
export function supervisorFiles(
  config: ClusterConfig,
  host: string,
  services: readonly PlannedService[],
  installation: Installation | undefined,
  confPath: string,
): PlannedFile[] {
  if (installation === undefined) return [];
  switch (config.settings.supervisor) {
    case "none":
      return [];
    case "monit":
      return [monitrc(config, host, services, installation, confPath)];
    case "systemd":
      return unitFiles(config, host, services, installation, confPath);
    default:
      return config.settings.supervisor satisfies never;
  }
}

/** `stop all` of monit goes through the file from top to bottom: the service that starts last stops first. */
function monitrc(
  config: ClusterConfig,
  host: string,
  services: readonly PlannedService[],
  installation: Installation,
  confPath: string,
): PlannedFile {
  const { cluster, monitEveryMs, monitPort, alertMail, alertSmtp } = config.settings;
  const own = `${installation.folder}/partitions/${host}`;
  const tool = (name: string, ...args: string[]): string[] => [
    "/usr/bin/env",
    ...Object.entries(installation.env).map(([key, value]) => `${key}=${value}`),
    ...[
      installation.node,
      installation.tool(name),
      ...args,
      "--conf",
      confPath,
      "--dir",
      installation.folder,
    ],
  ];
  const smtp = new URL(alertSmtp);
  return {
    path: "monit/monitrc",
    purpose: "generated",
    template: "monitrc.hbs",
    values: {
      cluster,
      host,
      everyS: Math.ceil(monitEveryMs / 1000),
      port: monitPort,
      folder: `${own}/monit`,
      // monit's file would contain the mail relay's password in plain text; monitors send mail anyway.
      mails: smtp.username === "" ? alertMail : [],
      smtpHost: smtp.hostname,
      smtpPort: smtp.port === "" ? (smtp.protocol === "smtps:" ? 465 : 25) : Number(smtp.port),
      isSmtps: smtp.protocol === "smtps:",
      services: services.toReversed().map((service) => ({
        name: service.name,
        pidFile: `${own}/${service.folder}/pid`,
        start: tool("twine-start", host, "--keep-going", "--for-monit", service.name),
        stop: tool("twine-stop", service.name, "--no-handover", "--for-monit"),
        stopS: Math.ceil(service.graceMs / 1000) + 10,
        absentCycles: service.kind === "data" ? absentCycles(config) : 0,
      })),
    },
    secrets: {},
    mode: 0o600,
  };
}

/** 0: it is started as soon as monit sees that it is gone. */
function absentCycles(config: ClusterConfig): number {
  const waitMs = sentinelTimeMs(config);
  return waitMs === undefined ? 0 : Math.ceil(waitMs / config.settings.monitEveryMs) + 1;
}
