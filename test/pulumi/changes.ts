// changes.ts: one edit and one `pulumi up` under a checked writer, and what clients saw of it.
import { createInterface } from "node:readline";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type {
  WriterCheck,
  WriterOptions,
  WriterWindow,
} from "../../infra/env/chaos/checked-writer.ts";
import { credentialsOf } from "../../runtime/core/credentials.ts";
import type { EngineFleet, EngineHost } from "../support/docker-engines.ts";
import { untilOk } from "./cluster-probe.ts";
import type { StackRunner } from "./stack-runner.ts";

/** What one change did: Pulumi's operations by kind, and what clients saw until the cluster was OK again. */
export interface ChangeSeen extends WriterWindow {
  readonly name: string;
  readonly seconds: number;
  readonly operations: Readonly<Record<string, number>>;
  readonly handovers: number;
}

export interface ChangeRun {
  /** `edit` gets the text of twine.conf and gives the next. */
  change(
    name: string,
    edit: (conf: string) => string,
    meanwhile?: () => Promise<void>,
  ): Promise<ChangeSeen>;
  end(): Promise<WriterCheck>;
}

export interface ChangeOptions {
  readonly fleet: EngineFleet;
  readonly runner: StackRunner;
  /** Where the writer runs, and the monitors are asked. */
  readonly on: EngineHost;
  readonly confFile: string;
  readonly routers: readonly {
    readonly name: string;
    readonly host: string;
    readonly port: number;
  }[];
  readonly password: string | undefined;
  readonly hosts: readonly string[];
}

export function beginChanges(options: ChangeOptions): ChangeRun {
  const { runner, on, confFile, routers, password } = options;
  const settings: WriterOptions = {
    routers,
    credentials: credentialsOf("app", password),
    isTls: false,
    prefix: "changes",
    durationMs: 20 * 60_000,
    answerWithinMs: 20_000,
  };
  const program = join(import.meta.dirname, "writer-inside.ts");
  const child = on.begin(process.execPath, program, JSON.stringify(settings));
  const lines = createInterface({ input: child.stdout ?? process.stdin })[Symbol.asyncIterator]();
  const ask = async <T>(command: string): Promise<T> => {
    child.stdin?.write(`${command}\n`);
    const { value, done } = await lines.next();
    if (done === true) throw new Error("the writer has ended");
    return JSON.parse(value) as T;
  };
  return {
    change: async (name, edit, meanwhile) => {
      await writeFile(confFile, edit(await readFile(confFile, "utf8")));
      await ask("look");
      const handoversBefore = await handoverCount(options);
      const startMs = performance.now();
      const running = runner.up();
      await meanwhile?.();
      const operations = await running;
      const seconds = Math.round((performance.now() - startMs) / 1000);
      await untilOk(runner, on);
      const seen = await ask<WriterWindow>("look");
      const handovers = (await handoverCount(options)) - handoversBefore;
      return { name, seconds, operations, handovers, ...seen };
    },
    end: async () => ask("end"),
  };
}

/** The handovers that monitors which still run have logged; those that one logged before it was replaced are gone. */
async function handoverCount({ fleet, hosts }: ChangeOptions): Promise<number> {
  const counts = await Promise.all(
    hosts.map(async (name) => {
      const host = fleet.host(name);
      const filters = { label: ["twine.kind=monitor"] };
      const logs = (await host.docker.listContainers({ filters })).map(async ({ Id: id }) => {
        const log = await host.run("docker", "-H", host.endpoint, "logs", id);
        return log.match(/"\+handover"/g)?.length ?? 0;
      });
      return (await Promise.all(logs)).reduce((sum, count) => sum + count, 0);
    }),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}
