import { expect, test } from "vitest";
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
