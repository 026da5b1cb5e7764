// Method: a view and INFOs as a running cluster has them, losses played on the alpha's own deciders.
import { describe, expect, test } from "vitest";
import type { View } from "../../../runtime/core/view.ts";
import { whatIf, type Loss } from "../../../runtime/monitor/decide/what-if.ts";
import type { NodeInfo } from "../../../runtime/monitor/decide/nodes/info.ts";
import { whatIfText } from "../../../runtime/monitor/what-if-text.ts";
import { CONF, infoOf, servedScene } from "./situations.ts";

function play(
  loss: Loss,
  victims: string[],
  options: {
    conf?: string;
    change?: (view: View) => View;
    infos?: Record<string, NodeInfo>;
    isLed?: boolean;
    silentStatus?: string[];
  } = {},
) {
  const scene = servedScene(options.conf ?? CONF);
  const infos = new Map(
    [...scene.nodeObservations].flatMap(([name, { info }]) =>
      info === null ? [] : [[name, info] as const],
    ),
  );
  for (const [name, info] of Object.entries(options.infos ?? {})) infos.set(name, info);
  return whatIf({
    view: (options.change ?? ((view) => view))(scene.view),
    config: scene.config,
    infos,
    lastSeen: scene.lastSeen,
    victims: new Set(victims),
    loss,
    isLed: options.isLed ?? true,
    silentStatus: new Set(options.silentStatus ?? []),
  });
}

describe("the loss of a master", () => {
  test("killed: its first replica takes over in a moment", () => {
    const { state, partitions } = play("killed", ["a1"]);
    expect(state).toBe("DEGRADED");
    expect(partitions).toMatchObject([
      { index: 0, masterNow: "a1", masterThen: "a2", needs: null },
    ]);
    const [partition] = partitions;
    expect(partition?.withoutMasterMs).toBeLessThan(300);
  });

  test("silent: not before down-after", () => {
    const [partition] = play("silent", ["a1"]).partitions;
    expect(partition?.masterThen).toBe("a2");
    expect(partition?.withoutMasterMs).toBeGreaterThan(1000);
    expect(partition?.withoutMasterMs).toBeLessThan(2500);
  });

  test("the furthest replica takes over, whatever its name", () => {
    const scene = servedScene();
    const ahead = { ...(scene.nodeObservations.get("a3")?.info ?? infoOf()), offset: 120 };
    expect(play("killed", ["a1"], { infos: { a3: ahead } }).partitions[0]?.masterThen).toBe("a3");
  });

  test("with the alpha on the same host it takes an election more", () => {
    const alone = play("killed", ["a1"]).partitions[0]?.withoutMasterMs ?? 0;
    const both = play("killed", ["a1", "m1"]).partitions[0];
    expect(both?.masterThen).toBe("a2");
    expect((both?.withoutMasterMs ?? 0) - alone).toBeGreaterThanOrEqual(500);
  });
});

test("the loss of a replica leaves the master where it is", () => {
  const { state, partitions } = play("killed", ["a3"]);
  expect(state).toBe("DEGRADED");
  expect(partitions).toMatchObject([{ masterNow: "a1", masterThen: "a1", withoutMasterMs: 0 }]);
});

test("the loss of every data node is HALT, and says what the partition would need", () => {
  const { state, partitions } = play("killed", ["a1", "a2", "a3"]);
  expect(state).toBe("HALT");
  expect(partitions[0]).toMatchObject({ masterThen: null, withoutMasterMs: null });
  expect(partitions[0]?.needs).toContain("a1");
});

test("without a majority of the status nodes nothing would be decided", () => {
  const { state, why, partitions } = play("killed", ["a1", "s1"]);
  expect(state).toBe("HALT");
  expect(why).toBe("only 0 of 1 status nodes would be left, and 1 are needed to choose a view");
  expect(partitions[0]?.masterThen).toBeNull();
});

test("without an alpha now nothing would be decided then, whatever the view says of the monitors", () => {
  const { state, why, partitions } = play("killed", ["a1"], { isLed: false });
  expect(state).toBe("HALT");
  expect(why).toBe(
    "no monitor renews the alpha's lease now, whatever the view says: start them with twine-start",
  );
  expect(partitions[0]?.masterThen).toBeNull();
  // A replica's loss leaves the master where it is, with or without monitors.
  expect(play("killed", ["a3"], { isLed: false })).toMatchObject({
    state: "DEGRADED",
    partitions: [{ masterThen: "a1" }],
  });
});

test("the loss of a majority of the status nodes stops every write, though no data node is hit", () => {
  const conf = `${CONF}s2=status localhost 7102 0\ns3=status localhost 7103 0\n`;
  const change = (view: View): View => ({
    ...view,
    nodes: view.nodes.map((node) => (node.kind === "status" ? { ...node, role: "up" } : node)),
  });
  expect(play("killed", ["s1"], { conf, change })).toMatchObject({ state: "DEGRADED", why: "" });
  const two = play("killed", ["s1", "s2"], { conf, change });
  expect(two).toMatchObject({ state: "HALT", partitions: [] });
  expect(two.why).toContain("only 1 of 3 status nodes would be left");
  expect(two.notes[0]).toContain("no write would be accepted");
  // One is silent already, and no monitor has noticed yet.
  const one = play("killed", ["s1"], { conf, change, silentStatus: ["s3"] });
  expect(one.why).toBe(two.why);
});

describe("the loss of most monitors", () => {
  test("is told, and a master that falls silent with them is not replaced", () => {
    const { state, notes, partitions } = play("silent", ["a1", "m2", "m3"]);
    expect(state).toBe("HALT");
    expect(notes).toEqual([expect.stringContaining("only 1 of 3 monitors would be left")]);
    expect(partitions[0]).toMatchObject({ masterNow: "a1", masterThen: null });
  });

  test("and one whose port refuses is", () => {
    const { state, partitions } = play("killed", ["a1", "m2", "m3"]);
    expect(state).toBe("DEGRADED");
    expect(partitions[0]?.masterThen).toBe("a2");
  });
});

test("the loss of the only router is noted, of one of two not", () => {
  const up = (view: View): View => ({
    ...view,
    nodes: view.nodes.map((node) => (node.kind === "router" ? { ...node, role: "up" } : node)),
  });
  const conf = `${CONF}r1=router localhost 7301\n`;
  const loss = play("killed", ["r1"], { conf, change: up });
  expect(loss.notes).toEqual([expect.stringContaining("only clients that follow the view")]);
  const text = whatIfText({ subject: "r1", nodes: ["r1"], killed: loss, silent: loss });
  expect(text).toContain("\n  no router would be left: only clients that follow the view");
  const two = `${conf}r2=router localhost 7302\n`;
  expect(play("killed", ["r1"], { conf: two, change: up }).notes).toEqual([]);
  expect(play("killed", ["r1", "r2"], { conf: two, change: up }).notes).toHaveLength(1);
});

test("a monitor's loss touches no partition", () => {
  expect(play("killed", ["m3"])).toMatchObject({ state: "DEGRADED", why: "", partitions: [] });
});

test("the text tells both ways of dying, and what would be needed", () => {
  const killed = play("killed", ["a1"]);
  const silent = play("silent", ["a1"]);
  const text = whatIfText({ subject: "a1", nodes: ["a1"], killed, silent });
  expect(text).toMatch(
    /^if a1 died, the cluster would be DEGRADED\n {2}partition 0 {2}a1 -> a2, without a master for about 0\.\d s when its process is killed, [12]\.\d s when it goes silent\n$/,
  );
  const all = play("killed", ["a1", "a2", "a3"]);
  const host = whatIfText({ subject: "db1", nodes: ["a1", "a2", "a3"], killed: all, silent: all });
  expect(host).toContain("if db1 (a1, a2, a3) died, the cluster would be HALT\n");
  expect(host).toContain("partition 0  HALT: it would need ");
  const replica = play("killed", ["a3"]);
  expect(whatIfText({ subject: "a3", nodes: ["a3"], killed: replica, silent: replica })).toContain(
    "partition 0  a1 stays master\n",
  );
});
