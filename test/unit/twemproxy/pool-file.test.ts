// nutcracker.yml read and changed: only the servers' addresses change, and half a file is none.
import { describe, expect, test } from "vitest";
import {
  readServers,
  withPassword,
  withServers,
  withoutPassword,
} from "../../../runtime/twemproxy/pool-file.ts";
import { stagedMasters } from "../../../runtime/twemproxy/staging.ts";
import { configOf, renderCase } from "../../golden/render-cases.ts";

const WHOLE = (name: string, password?: string): string =>
  renderCase({
    name,
    isKeptWhole: () => true,
    ...(password === undefined ? {} : { password }),
  }).files.find(({ path }) => path.endsWith("nutcracker.yml"))?.text ?? "";
const TEXT = WHOLE("twemproxy-sentinel");
const CONFIG = configOf(
  "a1=data 0 6666 0\na2=data 0 6667 0\nb1=data 1 7666 0\nb2=data 1 7667 0\nr1=router 6379\nrouter twemproxy\nfailover sentinel\n",
);

describe("withServers", () => {
  test("changes the addresses, and keeps what a person wrote: settings, comments, weights, names", () => {
    const edited = TEXT.replace(
      "timeout: 5000",
      "timeout: 400 # our clients are impatient",
    ).replace("127.0.0.1:7666:1 twine-p1", '"127.0.0.1:7666:3 shard2"');
    const after = withServers(edited, "nutcracker.yml", [
      { host: "127.0.0.1", port: 6668 },
      { host: "db2", port: 7667 },
    ]);
    expect(after).toMatch(/timeout: 400 # our clients are impatient/);
    expect(after).toMatch(/auto_eject_hosts: false/);
    expect(readServers(after, "nutcracker.yml")).toEqual([
      { host: "127.0.0.1", port: 6668, weight: 1, name: "twine-p0" },
      { host: "db2", port: 7667, weight: 3, name: "shard2" },
    ]);
  });

  test("a password survives, whatever is in it", () => {
    const text = WHOLE("twemproxy-password", 'a"b\\c: #d');
    const after = withServers(text, "nutcracker.yml", readServers(text, "nutcracker.yml"));
    expect(after).toContain(String.raw`redis_auth: "a\"b\\c: #d"`);
  });
});

describe("half a file", () => {
  test("no beginning of a file is taken for the whole with other masters", () => {
    const staged = withServers(TEXT, "staging", [
      { host: "127.0.0.1", port: 6667 },
      { host: "127.0.0.1", port: 7667 },
    ]);
    for (let length = 0; length < staged.length; length++) {
      let masters: readonly { readonly port: number }[];
      try {
        masters = stagedMasters(CONFIG, staged.slice(0, length), "staging");
      } catch (error) {
        expect(String(error)).toMatch(/staging/);
        continue;
      }
      // All that may be missing is behind the addresses: the end of a name, the last line break.
      expect(masters.map(({ port }) => port)).toEqual([6667, 7667]);
    }
  });

  test.each([
    ["", "it has 0 pools"],
    ["a: {}\nb: {}\n", "it has 2 pools"],
    ["a:\n  servers:\n   - here\n", "server 1 of its pool, 'here', is not HOST:PORT:WEIGHT NAME"],
    ["a:\n  servers:\n   - h:0:1\n", "is not HOST:PORT:WEIGHT"],
    ["a: [\n", "no whole nutcracker.yml"],
    ["a: &x\n  servers: *x\n", "no whole nutcracker.yml"],
  ])("%j is refused", (text, why) => {
    expect(() => readServers(text, "staging")).toThrow(why);
  });

  test("a staging file may only choose among the nodes of a partition", () => {
    const staged = (...ports: readonly number[]): string =>
      `pool:\n  servers:\n${ports.map((port) => `   - 127.0.0.1:${port}:1\n`).join("")}`;
    expect(stagedMasters(CONFIG, staged(6667, 7666), "staging").map(({ port }) => port)).toEqual([
      6667, 7666,
    ]);
    expect(() => stagedMasters(CONFIG, staged(7667, 7666), "staging")).toThrow(
      /127\.0\.0\.1:7667 is no node of partition 0/,
    );
    expect(() => stagedMasters(CONFIG, staged(6666), "staging")).toThrow(/1 servers.*2 partitions/);
  });
});

describe("the password in nutcracker.yml", () => {
  const text = (auth: string): string =>
    `# by hand\npool:\n  listen: 127.0.0.1:1\n${auth}  servers:\n    - h:1:1 a\n`;

  test("stays as long as it counts, then it is the first; without a password nothing changes", () => {
    const old = text('  redis_auth: "old"\n');
    expect(withPassword(old, "f", ["new", "old"])).toBe(old);
    expect(withPassword(old, "f", [])).toBe(old);
    expect(withPassword(old, "f", ["new"])).toBe(text('  redis_auth: "new"\n'));
    const number = withPassword(old, "f", ["1234"]);
    expect(number).toBe(text('  redis_auth: "1234"\n'));
    expect(withPassword(text("  redis_auth: 1234\n"), "f", ["1234"])).toContain("redis_auth: 1234");
    expect(withPassword(text(""), "f", ["new"])).toMatch(/redis_auth: new/);
    expect(() => withPassword("", "f", ["new"])).toThrow("it has 0 pools");
  });

  test("is left out of the staging file", () => {
    expect(withoutPassword(text('  redis_auth: "old"\n'), "f")).toBe(text(""));
    expect(withoutPassword(text(""), "f")).toBe(text(""));
  });
});
