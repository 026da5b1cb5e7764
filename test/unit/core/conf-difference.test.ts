import { expect, test } from "vitest";
import type { ClusterConfig } from "../../../runtime/core/cluster.ts";
import { confDifference, describeDifference } from "../../../runtime/core/conf/difference.ts";
import { parseConf } from "../../../runtime/core/conf/parse.ts";

const CONF = `
a1=data 0 localhost 7001 0
a2=data 0 localhost 7002 0
s1=status localhost 7101 0
m1=monitor localhost 7201
redis save "900 1"
redis maxmemory 100mb
`;

function configOf(text: string): ClusterConfig {
  const { config, errors } = parseConf(text, "twine.conf");
  if (config === undefined) throw new Error(JSON.stringify(errors));
  return config;
}

test("comments, order and spelled-out defaults are no difference", () => {
  const other = `# a comment\npartitions 1\n${CONF.trim().split("\n").reverse().join("\n")}\n`;
  const difference = confDifference(configOf(CONF), configOf(other));
  expect(difference).toEqual({ own: [], adopted: [] });
  expect(describeDifference(difference)).toBe("");
});

test("each side's own lines are named, in the form of the file", () => {
  const own = configOf(`${CONF}down-after 2s\n`);
  const adopted = configOf(CONF.replace("100mb", "200mb").replace(/^a2.*$/m, ""));
  expect(describeDifference(confDifference(own, adopted))).toMatchInlineSnapshot(
    `"only this twine.conf says "a2=data 0 localhost 7002 0", "redis maxmemory 100mb", "down-after 2s"; only the adopted one says "redis maxmemory 200mb", "down-after 1s""`,
  );
});

test("a line that stands twice on one side only is a difference; many long lines are cut short", () => {
  const nodes = Array.from({ length: 9 }, (_, at) => `b${at}=data 0 localhost ${7301 + at} 0`);
  const text = describeDifference(
    confDifference(configOf(`${CONF}${nodes.join("\n")}\n`), configOf(CONF)),
  );
  expect(text).toContain("and 4 more lines");
  expect(text).not.toContain("only the adopted one");
  const long = configOf(`${CONF}redis client-output-buffer-limit "normal 0 0 0${" ".repeat(1)}"\n`);
  expect(describeDifference(confDifference(long, configOf(CONF))).length).toBeLessThan(400);
});
