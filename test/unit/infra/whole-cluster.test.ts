// A rotation begins only where twine.conf names every data node of the running cluster.
import { describe, expect, test } from "vitest";
import { requireWholeCluster } from "../../../infra/local/rotation/whole-cluster.ts";
import type { NodeView, View } from "../../../runtime/core/view.ts";
import { configOf } from "../../golden/render-cases.ts";

const CONFIG = configOf("a1=data 0 h1 6001 0\ns1=status h1 6401 0\nm1=monitor h1 7601");

function viewWith(names: readonly string[], reshard: unknown = null): View {
  const nodes = names.map((name) => ({ name, kind: "data" }) as NodeView);
  return { nodes, reshard } as unknown as View;
}

describe("twine-password needs every node", () => {
  test("a node that twine.conf does not name is named", () => {
    expect(() => {
      requireWholeCluster(viewWith(["a1", "b1", "b2"]), CONFIG);
    }).toThrow(/b1, b2/);
  });

  test("a resharding, and the way back, come first", () => {
    expect(() => {
      requireWholeCluster(viewWith(["a1"], { phase: "keeping" }), CONFIG);
    }).toThrow(/way back/);
  });

  test("a node that is only in twine.conf does not matter", () => {
    expect(() => {
      requireWholeCluster(viewWith([]), CONFIG);
      requireWholeCluster(viewWith(["a1"]), CONFIG);
    }).not.toThrow();
  });
});
