import { expect, test } from "vitest";
import { leadClash } from "../../../runtime/monitor/decide/adopt-conf.ts";
import { CONF, configOf, servedScene } from "./situations.ts";

const peer = { confDigest: "d2", suspects: new Set<string>() };

test("a changed twine.conf waits for a majority of the monitors, then its new node is synced in", () => {
  const scene = servedScene();
  scene.config = configOf(`${CONF}a4=data 0 localhost 7004 0\n`);
  scene.digest = "d2";
  scene.step();
  expect(scene.last?.conf.kind).toBe("waits");
  expect(scene.view.nodes.some(({ name }) => name === "a4")).toBe(false);
  scene.peers.set("m3", peer);
  scene.step();
  expect(scene.view.confDigest).toBe("d2");
  expect(scene.role("a4")).toBe("dead");
  expect(scene.role("a1")).toBe("master");
  expect(scene.view.state).toBe("DEGRADED");
});

test("a node that left twine.conf leaves the view", () => {
  const scene = servedScene();
  scene.config = configOf(CONF.replace(/^a3.*$/m, ""));
  scene.digest = "d2";
  scene.peers.set("m3", peer);
  scene.step();
  expect(scene.role("a3")).toBeUndefined();
  expect(scene.partition.replicas).toEqual(["a2"]);
});

test.each([
  ["partitions", `${CONF.replace("partitions 1", "partitions 2")}b1=data 1 localhost 7009 0\n`],
  ["the hash", `${CONF}hash crc16\n`],
  ["the hash tag", `${CONF}hash-tag {}\n`],
  ["the master's node", CONF.replace(/^a1.*$/m, "")],
  ["the master's address", CONF.replace("7001", "7005")],
])("a twine.conf that changes %s is refused, whoever holds it", (_what, text) => {
  const scene = servedScene();
  const before = scene.view;
  scene.config = configOf(text);
  scene.digest = "d2";
  scene.peers.set("m2", peer).set("m3", peer);
  scene.step();
  expect(scene.last?.conf.kind).toBe("refused");
  expect(scene.view).toBe(before);
});

test.each([
  ["one status node more", `${CONF}s2=status localhost 7102 0\n`, undefined],
  ["the same", CONF, undefined],
  ["another one instead", CONF.replace("7101", "7102"), /add or remove one at a time/],
  ["two more", `${CONF}s2=status localhost 7102 0\ns3=status localhost 7103 0\n`, /one at a time/],
  ["another hash", `${CONF}hash crc16\n`, /keys lie by crc32/],
])("a monitor whose twine.conf names %s may or must not lead", (_what, text, why) => {
  const clash = leadClash(servedScene().view, configOf(text));
  if (why === undefined) expect(clash).toBeUndefined();
  else expect(clash).toMatch(why);
});
