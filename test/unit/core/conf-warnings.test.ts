// What a right file is warned of, and what is added to one that names no status node or monitor.
import { describe, expect, test } from "vitest";
import type { ClusterConfig } from "../../../runtime/core/cluster.ts";
import { completeConfig } from "../../../runtime/core/conf/complete.ts";
import { parseConf } from "../../../runtime/core/conf/parse.ts";
import { printNode } from "../../../runtime/core/conf/print.ts";
import type { Problem } from "../../../runtime/core/errors.ts";

function parsed(text: string): { config: ClusterConfig; warnings: readonly Problem[] } {
  const { config, errors, warnings } = parseConf(text, "twine.conf");
  if (config === undefined) throw new Error(errors.map((error) => error.message).join());
  return { config, warnings };
}

function warned(text: string): string[] {
  return parsed(text).warnings.map((warning) => `${warning.code}: ${warning.message}`);
}

function added(text: string): string[] {
  const { config } = parsed(text);
  return completeConfig(config).config.nodes.slice(config.nodes.length).map(printNode);
}

describe("placement", () => {
  test("partitions whose nodes share one host are named together, when there are other hosts", () => {
    const text =
      "a1=data 0 db1 1 0\na2=data 0 db1 2 0\nb1=data 1 db2 1 0\nb2=data 1 DB2 2 0\n" +
      "c1=data 2 db1 3 0\nc2=data 2 db2 3 0";
    expect(warned(text)).toEqual([
      "CONF_SHARED_HOST: all nodes of partitions 0, 1 are on one host: when it fails, they have no master",
    ]);
  });

  test("a cluster on one named host gets one note, and one on localhost none", () => {
    expect(warned("a1=data 0 db1 1 0\na2=data 0 db1 2 0")).toEqual([
      "CONF_ONE_HOST: all nodes are on db1: when this host fails, the whole cluster fails",
    ]);
    expect(warned("a1=data 0 localhost 1 0\na2=data 0 127.0.0.1 2 0")).toEqual([]);
  });

  test("localhost beside other hosts is another machine on each", () => {
    expect(warned("a1=data 0 localhost 1 0\na2=data 0 db1 2 0")).toEqual([
      expect.stringContaining("CONF_LOCALHOST_MIXED: node a1 is on localhost"),
    ]);
  });

  test("partitions without a replica are named as ranges", () => {
    const lines = Array.from({ length: 9 }, (_, index) => `a${index}=data ${index} ${index + 1} 0`);
    expect(warned([...lines, "b=data 3 99 0"].join("\n"))).toEqual([
      "CONF_NO_REPLICA: partitions 0 to 2, 4 to 8 have no replica",
    ]);
  });

  test("an even number of status nodes or monitors bears no more losses than one fewer", () => {
    const text =
      "a1=data 0 1 0\na2=data 0 2 0\ns1=status 11\ns2=status 12\n" +
      "m1=monitor 21\nm2=monitor 22\nm3=monitor 23\nm4=monitor 24";
    expect(warned(text)).toEqual([
      "CONF_EVEN_STATUS: 2 status nodes tolerate the loss of 0; 1 would tolerate as many",
      "CONF_EVEN_MONITORS: 4 monitors tolerate the loss of 1; 3 would tolerate as many",
    ]);
  });

  test("three hosts should not keep most of the status nodes on one of them", () => {
    const nodes = "a1=data 0 db1 1 0\na2=data 0 db2 1 0\na3=data 0 db3 1 0\n";
    const crowded = "s1=status db1 11\ns2=status db1 12\ns3=status db2 11";
    expect(warned(`${nodes}${crowded}`)).toEqual([
      expect.stringContaining("CONF_MAJORITY_ON_ONE_HOST: db1 holds a majority"),
    ]);
    expect(warned(`${nodes}${crowded.replace("db1 12", "db3 12")}`)).toEqual([]);
  });
});

describe("settings", () => {
  const data = "a1=data 0 1 0\na2=data 0 2 0\n";

  test("holding requests for less than a failover takes is pointless, holding none is a choice", () => {
    expect(warned(`${data}hold-for 1s`)).toEqual([expect.stringContaining("CONF_HOLD_SHORT")]);
    expect(warned(`${data}hold-for 0s`)).toEqual([]);
  });

  test("a redis directive said twice is named, but not one that Redis adds up", () => {
    expect(warned(`${data}redis save 60 1\nredis save 900 1`)).toEqual([]);
    expect(warned(`${data}redis maxmemory 1gb\nredis maxmemory 2gb`)).toEqual([
      "CONF_REDIS_TWICE: redis maxmemory is also on line 3, and Redis uses the last one",
    ]);
  });
});

describe("completing", () => {
  test("three hosts or more get one status node and one monitor on each of the first three", () => {
    const text = "d=data 0 db10 1 0\nc=data 0 db3 1 0\nb=data 0 db2 1 0\na=data 0 db1 1 0";
    expect(added(text)).toEqual([
      "s1=status db1 6399 0",
      "s2=status db2 6399 0",
      "s3=status db3 6399 0",
      "m1=monitor db1 7600",
      "m2=monitor db2 7600",
      "m3=monitor db3 7600",
    ]);
  });

  test("one or two hosts get one of each, and localhost and 127.0.0.1 are one host", () => {
    expect(added("a=data 0 db1 1 0\nb=data 0 db2 1 0")).toEqual([
      "s1=status db1 6399 0",
      "m1=monitor db1 7600",
    ]);
    expect(added("b=data 0 127.0.0.1 2 0\na=data 0 localhost 1 0")).toHaveLength(2);
  });

  test("a kind that the file names is left alone, and a complete file stays the same object", () => {
    expect(added("a=data 0 1 0\ns=status 2")).toEqual(["m1=monitor localhost 7600"]);
    const { config } = parsed("a=data 0 1 0\ns=status 2\nm=monitor 3");
    expect(completeConfig(config)).toEqual({ config, warnings: [] });
    expect(completeConfig(config).config).toBe(config);
  });

  test("names and ports that are taken give way to the next free ones, and the warning says so", () => {
    const text = "s1=data 0 6399 0\nm1=data 0 7600 0\nm2=router 6400";
    expect(added(text)).toEqual(["s2=status localhost 6401 0", "m3=monitor localhost 7601"]);
    expect(completeConfig(parsed(text).config).warnings.map((warning) => warning.message)).toEqual([
      "there is no status node, so Twine adds 's2=status localhost 6401 0' (port 6399 is taken on localhost)",
      "there is no monitor, so Twine adds 'm3=monitor localhost 7601' (port 7600 is taken on localhost)",
    ]);
  });

  test("the added lines can be written into the file as they are shown", () => {
    const text = "a=data 0 db1 1 0\nb=data 0 db2 1 0\nc=data 0 db3 1 0\n";
    const full = parsed(`${text}${added(text).join("\n")}`);
    expect(completeConfig(full.config).warnings).toEqual([]);
    expect(full.warnings).toEqual([]);
  });
});
