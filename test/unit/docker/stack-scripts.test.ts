// The entrypoints of a Sentinel and of a data node that Sentinel watches, run by sh with programs that only show what they get.
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { readTemplates } from "../../../infra/docker/read-templates.ts";
import { planCluster } from "../../../infra/plan/plan-cluster.ts";
import { renderFile } from "../../../infra/render/render-file.ts";
import { configOf } from "../../golden/render-cases.ts";
import { ROOT } from "../../support/source-files.ts";

const run = promisify(execFile);

const CONF =
  "a1=data 0 db1 6666 0\na2=data 0 db2 6667 0\na3=data 0 db3 6668 0\n" +
  "m1=monitor db1 26379\nm2=monitor db2 26379\nm3=monitor db3 26379\n" +
  "r1=router db1 6379 22222\nrouter twemproxy\nfailover sentinel\ndown-after 1s\n";

interface Container {
  readonly data: string;
  /** The configuration that redis-server is started with, and what the script said. */
  readonly start: () => Promise<{ conf: string; said: string }>;
}

/** `sentinels`: what each of m1, m2, m3 answers to "who is master?"; empty: nothing. */
async function container(node: string, sentinels: readonly string[] = []): Promise<Container> {
  const folder = await mkdtemp(join(tmpdir(), "stack-scripts-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const [data, files, bin] = ["data", "files", "bin"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  for (const path of [data, files, bin]) await mkdir(path);
  const plan = planCluster(configOf(CONF), {
    ...{ confPath: "/etc/twine/twine.conf", hasPassword: false, placement: "containers" },
  });
  const templates = readTemplates(ROOT);
  for (const file of plan.hosts.flatMap((host) => host.files)) {
    if (!file.path.startsWith(`${node}/`)) continue;
    const text = renderFile(file, templates)
      .replace(/^data=\/data$/m, `data=${data}`)
      .replace(/^files=\/etc\/twine$/m, `files=${files}`);
    await writeFile(join(files, file.path.slice(node.length + 1)), text);
  }
  await writeFile(join(bin, "redis-server"), '#!/bin/sh\ncat "$1"\n', { mode: 0o755 });
  const answers = sentinels.map((said, index) => `db${index + 1}) echo "${said}" ;;`).join(" ");
  const cli = `#!/bin/sh\ncase $2 in ${answers} esac\n`;
  await writeFile(join(bin, "redis-cli"), cli, { mode: 0o755 });
  return {
    data,
    start: async () => {
      const env = { PATH: `${bin}:${process.env["PATH"] ?? ""}` };
      const { stdout, stderr } = await run("sh", [join(files, "entrypoint.sh")], { env });
      return { conf: stdout, said: stderr };
    },
  };
}

const roleIn = (conf: string): string | undefined => /^replicaof .*$/m.exec(conf)?.[0];

test("Sentinel begins with the plan's masters, and keeps what it noted afterwards", async () => {
  const { data, start } = await container("m1");
  const { conf } = await start();
  expect(conf).toMatch(/^sentinel monitor twine-p0 db1 6666 2$/m);
  expect(conf.match(/known-replica .*/g)).toEqual([
    "known-replica twine-p0 db2 6667",
    "known-replica twine-p0 db3 6668",
  ]);
  const noted = [
    "sentinel myid 0123456789",
    "sentinel current-epoch 7",
    "sentinel monitor twine-p0 db3 6668 2",
    "sentinel config-epoch twine-p0 7",
    "sentinel known-replica twine-p0 db9 1234",
    "sentinel known-sentinel twine-p0 db2 26379 abcd",
    "sentinel known-sentinel twine-p9 db2 26379 abcd",
  ];
  await writeFile(join(data, "sentinel.conf"), noted.join("\n"));
  const { conf: again } = await start();
  expect(again).toMatch(/^sentinel monitor twine-p0 db3 6668 2$/m);
  // The former master is a replica, and a node that left twine.conf is forgotten.
  expect(again.match(/known-replica .*/g)).toEqual([
    "known-replica twine-p0 db1 6666",
    "known-replica twine-p0 db2 6667",
  ]);
  for (const kept of [0, 1, 3]) expect(again).toContain(`${noted[kept]}\n`);
  expect(again).not.toMatch(/twine-p9/);
});

test("a data node begins with the plan's role, and keeps the one that Sentinel gave it", async () => {
  const { data, start } = await container("a2");
  expect(roleIn((await start()).conf)).toBe("replicaof db1 6666");
  await writeFile(join(data, "redis.conf"), "port 1\nreplicaof db3 6668\n");
  const { conf } = await start();
  expect(roleIn(conf)).toBe("replicaof db3 6668");
  expect(conf).toMatch(/^port 6667$/m);
});

test("a master that was killed comes back as a replica of the one that most Sentinels name", async () => {
  const { data, start } = await container("a1", ["db2 6667", "db1 6666", "db2 6667"]);
  expect(roleIn((await start()).conf)).toBeUndefined();
  await rm(join(data, "twine-stopped"));
  expect(roleIn((await start()).conf)).toBe("replicaof db2 6667");
});

test("one that was stopped in order serves again at once when no other is master", async () => {
  const { data, start } = await container("a1", [
    "db1 6666",
    "NOAUTH Authentication required.",
    "",
  ]);
  expect(roleIn((await start()).conf)).toBeUndefined();
  expect(await readFile(join(data, "twine-stopped"), "utf8")).toBe("");
  const { conf, said } = await start();
  expect(roleIn(conf)).toBeUndefined();
  expect(said).not.toMatch(/was killed/);
});

test("the volume of another cluster is refused", async () => {
  const { data, start } = await container("m1");
  await writeFile(join(data, "twine-stamp"), "cluster other\n");
  await expect(start()).rejects.toThrow(/belongs to 'cluster other', not to/);
});
