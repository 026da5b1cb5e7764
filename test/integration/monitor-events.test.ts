// What a real monitor writes to its log: events of docs/EVENTS.md alone, through an outage, a broken twine.conf and its end.
import { readFile, writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { EVENTS } from "../../runtime/monitor/emit.ts";
import { startedCluster } from "../support/one-partition.ts";
import { until } from "../support/redis-server.ts";

const CONF = `
partitions 1
a1=data 0 localhost {a1} 0
a2=data 0 localhost {a2} 0
s1=status localhost {s1} 0
m1=monitor localhost {m1} {p1}
`;

test("a monitor logs events and nothing else; a broken twine.conf is refused with its line, HALT is told once", async () => {
  const cluster = await startedCluster(CONF);
  const pid = await cluster.pid("m1");
  const reported = async (event: string) =>
    (await cluster.log("m1")).filter(({ msg }) => msg === event);

  const { file } = cluster.config;
  const text = await readFile(file, "utf8");
  await writeFile(file, `${text}a3=data nonsense\n`);
  process.kill(pid, "SIGHUP");
  await until("the file is refused", async () => (await reported("-conf")).length > 0);
  const [refused] = await reported("-conf");
  expect(refused).toMatchObject({ refused: true });
  expect(refused?.["why"]).toContain(`${file}:${text.split("\n").length}:`);
  await writeFile(file, text);
  process.kill(pid, "SIGHUP");
  await until("the mended file is read", async () => (await reported("+read")).length === 1);

  await cluster.kill("a1", "a2");
  await cluster.viewWhere("HALT, and what for", ({ partitions }) => {
    return (partitions[0]?.needs ?? null) !== null;
  });
  await cluster.heal();
  await cluster.viewWhere("OK again", ({ state }) => state === "OK");
  const halts = (await reported("+halt")).length;
  expect(halts).toBeGreaterThan(0);
  expect((await reported("-halt")).length).toBe(halts);

  process.kill(pid, "SIGTERM");
  await until("it has stopped", async () => (await reported("+stop")).length === 1);
  const names = (await cluster.log("m1")).map(({ msg }) => String(msg));
  expect(names.filter((name) => !(name in EVENTS))).toEqual([]);
  expect(names).toContain("+start");
  expect(names).toContain("+sentinel-port");
});
