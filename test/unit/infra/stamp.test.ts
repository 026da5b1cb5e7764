// stamp.test.ts: nobody's data folder is taken by mistake.
import { expect, test } from "vitest";
import { decideStamp } from "../../../infra/local/files/stamp.ts";

function decide(given: {
  existing?: string;
  entries?: readonly string[];
  adopt?: boolean;
}): string {
  return decideStamp({
    path: "/srv/partitions/db1/a1/data",
    cluster: "orders",
    wanted: "cluster orders\n",
    existing: given.existing,
    entries: given.entries ?? [],
    adopt: given.adopt ?? false,
  });
}

test("a new data folder gets the cluster's stamp", () => {
  expect(decide({})).toBe("write");
});

test("a fresh volume with its lost+found counts as new", () => {
  expect(decide({ entries: ["lost+found"] })).toBe("write");
});

test("a folder with the cluster's stamp is the cluster's", () => {
  expect(decide({ existing: "cluster orders\n", entries: ["dump.rdb", "twine-stamp"] })).toBe(
    "same",
  );
});

test("another cluster's folder is refused, and both clusters and the folder are named", () => {
  expect(() => decide({ existing: "cluster users\n", adopt: true })).toThrow(
    /\/srv\/partitions\/db1\/a1\/data belongs to cluster users, not to cluster orders[^]*remedy/,
  );
});

test.each(["dump.rdb", "appendonlydir", "appendonly.aof"])(
  "a folder that holds %s without a stamp is refused until it is adopted",
  (entry) => {
    expect(() => decide({ entries: [entry] })).toThrow(/--adopt/);
    expect(decide({ entries: [entry], adopt: true })).toBe("write");
  },
);
