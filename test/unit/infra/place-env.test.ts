// place-env.test.ts: a twine.conf on loopback addresses of its own.
import { describe, expect, test } from "vitest";
import { addressBlock, endpointsOf, placeEnv } from "../../../infra/env/place-env.ts";
import { parseConf } from "../../../runtime/core/conf/parse.ts";
import { printConf } from "../../../runtime/core/conf/print.ts";
import { configOf } from "../../golden/render-cases.ts";

const CONF = [
  "a1=data 0 db1 6666 0",
  "a2=data 0 db2 6666 0",
  "s1=status db1 6401 0",
  "m1=monitor db2 7601",
  "r1=router db1 6400",
  "hash ./mine/hash.mjs",
  "users-file users",
  "alert-mail ops@example.com",
];

describe("an environment", () => {
  const placed = placeEnv(configOf(CONF.join("\n")), {
    name: "ci",
    block: "127.77.3",
    folder: "/srv/app",
  });

  test("has one address per host, and the ports of twine.conf", () => {
    const places = placed.nodes.map(({ name, host, port }) => `${name} ${host}:${port}`);
    expect(places).toEqual([
      "a1 127.77.3.1:6666",
      "a2 127.77.3.2:6666",
      "s1 127.77.3.1:6401",
      "m1 127.77.3.2:7601",
      "r1 127.77.3.1:6400",
    ]);
    expect(endpointsOf(placed).routerUrls).toEqual(["redis://127.77.3.1:6400"]);
  });

  test("finds the files that twine.conf names, and mails nobody", () => {
    const { hash, usersFile, alertMail, cluster } = placed.settings;
    expect(hash).toEqual({ kind: "module", path: "/srv/app/mine/hash.mjs" });
    expect([usersFile, cluster]).toEqual(["/srv/app/users", "env-ci"]);
    expect(alertMail).toEqual([]);
  });

  test("is a twine.conf that is read back as the same", () => {
    const { config, errors } = parseConf(printConf(placed), "twine.conf");
    expect(errors).toEqual([]);
    expect(config === undefined ? "" : printConf(config)).toBe(printConf(placed));
  });

  test("has a block of addresses of its own: valid for every name and attempt, another one each time", () => {
    const blocks = Array.from({ length: 2000 }, (_, attempt) => addressBlock("ci", attempt));
    expect(new Set(blocks).size).toBe(blocks.length);
    for (const block of blocks) {
      const [first, second = 0, third = 256] = block.split(".").map(Number);
      expect(first).toBe(127);
      expect(second >= 16 && second < 240 && third < 256).toBe(true);
    }
  });
});
