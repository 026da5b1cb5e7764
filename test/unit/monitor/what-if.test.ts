// Method: a view and INFOs as a running cluster has them, losses played on the alpha's own deciders.
import { describe, expect, test } from "vitest";
import type { View } from "../../../runtime/core/view.ts";
import { whatIf, type Loss } from "../../../runtime/monitor/decide/what-if.ts";
import type { NodeInfo } from "../../../runtime/monitor/decide/info.ts";
import { whatIfText } from "../../../runtime/monitor/what-if-text.ts";
import { CONF, infoOf, servedScene } from "./situations.ts";

function play(
  loss: Loss,
  victims: string[],
  options: { conf?: string; change?: (view: View) => View; infos?: Record<string, NodeInfo> } = {},
) {
  const scene = servedScene(options.conf ?? CONF);
  const infos = new Map(
    [...scene.sights].flatMap(([name, { info }]) => (info === null ? [] : [[name, info] as const])),
  );
  for (const [name, info] of Object.entries(options.infos ?? {})) infos.set(name, info);
  return whatIf({
    view: (options.change ?? ((view) => view))(scene.view),
    config: scene.config,
    infos,
    lastSeen: scene.lastSeen,
    victims: new Set(victims),
    loss,
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
    const ahead = { ...(scene.sights.get("a3")?.info ?? infoOf()), offset: 120 };
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

test("without a majority of the status nodes nobody would decide anything", () => {
  const { state, why, partitions } = play("killed", ["a1", "s1"]);
  expect(state).toBe("HALT");
  expect(why).toBe("only 0 of 1 status nodes would be left, and 1 are needed to choose a view");
  expect(partitions[0]?.masterThen).toBeNull();
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
