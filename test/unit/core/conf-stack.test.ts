// What `router twemproxy` and `failover sentinel` ask of the other lines, and what is added.
import { describe, expect, test } from "vitest";
import { completeConfig } from "../../../runtime/core/conf/complete.ts";
import { confDigest } from "../../../runtime/core/conf/digest.ts";
import { parseConf } from "../../../runtime/core/conf/parse.ts";
import { printConf } from "../../../runtime/core/conf/print.ts";
import { sentinelsOf } from "../../../runtime/core/sentinel-nodes.ts";
import { configOf } from "../../golden/render-cases.ts";

const DATA = "a1=data 0 6666 0\na2=data 0 6667 0\nb1=data 1 7666 0\nb2=data 1 7667 0\n";

function errorsOf(text: string): string[] {
  return parseConf(`${DATA}${text}`, "twine.conf").errors.map(
    ({ code, at }) => `${code} ${at?.line ?? 0}:${at?.column ?? 0}`,
  );
}

describe("conflicts", () => {
  test.each([
    ["failover sentinel\ns1=status 6401 0", ["CONF_STATUS_UNUSED 6:1"]],
    ["failover sentinel\nm1=monitor 7600 26379", ["CONF_SENTINEL_PORT 6:1"]],
    ["failover sentinel\nr1=router 6379", ["CONF_ROUTER_NEEDS_VIEW 5:1"]],
    ["router twemproxy\nfailover sentinel\nhash crc16", ["CONF_HASH_NOT_TWEMPROXYS 7:1"]],
    ["router twemproxy\nfailover sentinel\nhash ./my.mjs", ["CONF_HASH_NOT_TWEMPROXYS 7:1"]],
    ["router twemproxy\nfailover sentinel\nc1=data 2 8666 3", ["CONF_DB_NOT_TWEMPROXYS 7:1"]],
    ["router twemproxy\nfailover sentinel\nack-replicas 1", ["CONF_ACK_NOT_TWEMPROXYS 7:1"]],
    ["router twemproxy\nr1=router 6379\nm1=monitor 7600", ["CONF_TWEMPROXY_UNTOLD 7:1"]],
    ["twemproxy-staging /tmp/staging", ["CONF_STAGING_UNUSED 5:1"]],
    ["router twemproxi", ["CONF_BAD_VALUE 5:8"]],
    ["failover sentinels", ["CONF_BAD_VALUE 5:10"]],
    [
      "router twemproxy\nfailover sentinel\nhash crc16 slots 0-8191 8192-16383",
      ["CONF_HASH_NOT_TWEMPROXYS 7:1"],
    ],
    ["router twemproxy\nfailover sentinel\nhash twemproxy-md5 ketama a:1 b:2", []],
    // A node may be called as a directive is.
    ["router=router 6379\nrouter twine", []],
    ["router twemproxy\nr1=router 6379\nm1=monitor 7600 26379", []],
    ["router twemproxy\nfailover sentinel\nr1=router 6379\nhash crc32", []],
  ])("%j", (text, problems) => {
    expect(errorsOf(text)).toEqual(problems);
  });

  test("a setting that only Twine's own monitors or routers carry out is named", () => {
    const { warnings } = parseConf(
      `${DATA}router twemproxy\nfailover sentinel\nhold-for 5s\nbackup-dir /b\ndown-after 2s\n`,
      "twine.conf",
    );
    expect(warnings.map(({ code, message }) => `${code} ${message}`)).toEqual([
      "CONF_NOT_USED hold-for has no effect with router twemproxy",
      "CONF_NOT_USED backup-dir has no effect with failover sentinel",
    ]);
  });
});

describe("what is added", () => {
  test("no status nodes, a Sentinel, and ports for twemproxy's statistics that nothing else has", () => {
    const text = `${DATA}router twemproxy\nfailover sentinel\nr1=router 22222\nr2=router 6379\n`;
    const { config, warnings } = completeConfig(
      parseConf(text, "twine.conf").config ?? configOf(""),
    );
    expect(warnings.map(({ message }) => message)).toEqual([
      "there is no Sentinel, so Twine adds 'm1=monitor localhost 26379'",
    ]);
    expect(printConf(config)).toMatch(/^r1=router localhost 22222 22223$/m);
    expect(printConf(config)).toMatch(/^r2=router localhost 6379 22224$/m);
    expect(config.nodes.some(({ kind }) => kind === "status")).toBe(false);
    expect(sentinelsOf(config)).toEqual([{ name: "m1", host: "localhost", port: 26379 }]);
  });

  test("with Twine's monitors, those are asked that have a port for Sentinel's protocol", () => {
    const config = configOf(
      `${DATA}router twemproxy\nm1=monitor 7600\nm2=monitor 7601 26379\nm3=monitor 7602\nr1=router 6379\n`,
    );
    expect(sentinelsOf(config).map(({ name, port }) => `${name} ${port}`)).toEqual(["m2 26379"]);
  });

  test("what is printed is read back as the same, and a cluster of Twine's own keeps its digest", () => {
    const stack = configOf(
      `${DATA}router twemproxy\nfailover sentinel\ntwemproxy-staging "my file"\nm1=monitor 26379\n`,
    );
    expect(configOf(printConf(stack)).settings).toEqual(stack.settings);
    const own = configOf(DATA);
    expect(confDigest(configOf(`${DATA}router twine\nfailover twine\n`))).toBe(confDigest(own));
  });
});
