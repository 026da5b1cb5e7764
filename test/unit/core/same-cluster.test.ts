import { describe, expect, test } from "vitest";
import type { ClusterConfig } from "../../../runtime/core/cluster.ts";
import { parseConf } from "../../../runtime/core/conf/parse.ts";
import {
  CLUSTER_REMEDY,
  clusterMismatch,
  requireSameCluster,
} from "../../../runtime/core/same-cluster.ts";
import type { TwineError } from "../../../runtime/core/errors.ts";
import { firstView } from "../../../runtime/monitor/decide/views/first-view.ts";

function configOf(text: string): ClusterConfig {
  const { config, errors } = parseConf(`${text}\ns1=status localhost 7101 0\n`, "twine.conf");
  if (config === undefined) throw new Error(JSON.stringify(errors));
  return config;
}

const OURS = configOf("a1=data 0 localhost 7001 0\na2=data 0 localhost 7002 0");
const view = firstView(OURS, "d1", "m1", "");

describe("a twine.conf is the same cluster's as the view", () => {
  test("when they share one data node, whatever else has changed", () => {
    const changed = configOf("a2=data 0 127.0.0.1 7002 0\nb1=data 0 db1 7001 0");
    expect(clusterMismatch(view, changed)).toBeUndefined();
  });

  test("when it names no data node, so that there is nothing to compare", () => {
    const bare = { ...OURS, nodes: OURS.nodes.filter(({ kind }) => kind !== "data") };
    expect(clusterMismatch(view, bare)).toBeUndefined();
  });
});

describe("a twine.conf is another cluster's than the view", () => {
  test("when the same names stand at other addresses", () => {
    const other = configOf("a1=data 0 localhost 8001 0\na2=data 0 localhost 8002 0");
    expect(clusterMismatch(view, other)).toBe(
      'these status nodes belong to another cluster that is named "twine" too: ' +
        "none of its data nodes (a1 at 127.0.0.1:7001, a2 at 127.0.0.1:7002) is in twine.conf",
    );
  });

  test("when other names stand at the same addresses", () => {
    expect(clusterMismatch(view, configOf("b1=data 0 localhost 7001 0"))).toContain(
      "another cluster",
    );
  });

  test("a tool ends with the remedy", () => {
    const act = (): void => {
      requireSameCluster(view, configOf("b1=data 0 localhost 8001 0"));
    };
    expect(act).toThrow(CLUSTER_REMEDY);
    try {
      act();
    } catch (error) {
      expect((error as TwineError).code).toBe("CLUSTER_DIFFERS");
    }
    expect(() => {
      requireSameCluster(null, OURS);
    }).not.toThrow();
  });
});
