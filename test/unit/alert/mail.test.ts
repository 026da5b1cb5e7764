// What the mails say, by the templates that are shipped.
import { describe, expect, test } from "vitest";
import { incidentMail, testMail } from "../../../runtime/alert/mail.ts";
import type { Incident, Item } from "../../../runtime/alert/incidents.ts";
import { troublesOf } from "../../../runtime/alert/troubles.ts";
import { readTemplate } from "../../../runtime/cli/read-template.ts";
import { exampleView, withDead } from "../status/example-reports.ts";

const TEMPLATES = {
  text: readTemplate("mail-alert.txt.hbs"),
  html: readTemplate("mail-alert.html.hbs"),
};
const VIEW = exampleView();

function incident(id: string, change: Partial<Incident> = {}): Incident {
  const [word = "", name = ""] = id.split(" ");
  const isHalt = word === "halt";
  return {
    id,
    kind: isHalt ? "halt" : "dead",
    subject: isHalt ? `partition ${name}` : name,
    what: isHalt ? `partition ${name} has no master: its keys` : `data node ${name} is dead`,
    need: isHalt ? "" : "twine-start db1",
    phase: "open",
    sinceMs: 0,
    wellSinceMs: null,
    times: 1,
    isTold: false,
    beganAt: "2026-03-01T10:00:07.123Z",
    endedAt: null,
    ...change,
  };
}

function mailOf(items: readonly Item[], health: readonly Incident[] = []) {
  return incidentMail(
    { view: { ...VIEW, state: "HALT" }, monitor: "m1", items, health, alertAfterMs: 30_000 },
    TEMPLATES,
  );
}

const begun = (id: string, change: Partial<Incident> = {}): Item => ({
  kind: "begun",
  incident: incident(id, change),
});
const ended = (kind: "over" | "passed", id: string): Item => ({
  kind,
  incident: incident(id, { phase: "over", endedAt: "2026-03-01T10:04:00.000Z" }),
});

describe("the subject", () => {
  test.each<[Item[], string]>([
    [[begun("halt 3")], "HALT: partition 3 has no master"],
    [[begun("dead a1"), begun("halt 3")], "HALT: partition 3 has no master; a1 is dead"],
    [
      ["a1", "a2", "a3", "a4", "a5", "a6"].map((name) => begun(`dead ${name}`)),
      "a1, a2, a3, a4 and 2 more are dead",
    ],
    [
      [ended("over", "halt 3"), ended("over", "dead a1")],
      "partition 3 has a master again; a1 is back",
    ],
    [[ended("passed", "dead a1"), ended("passed", "dead a2")], "a1, a2 were dead"],
  ])("of %j", (items, subject) => {
    expect(mailOf(items).subject).toBe(`[twine twine] ${subject}`);
  });
});

describe("the text", () => {
  test("says what, since when, what it needs, what is over and what is still so", () => {
    const { text } = mailOf(
      [begun("dead a1", { times: 3 }), ended("over", "halt 3"), ended("passed", "dead a2")],
      [incident("dead a9")],
    );
    expect(text).toMatchInlineSnapshot(`
      "The cluster twine is HALT.

      What happened
      - data node a1 is dead
        since 2026-03-01 10:00:07 UTC
        for the 3rd time; its end is mailed once it has been well for 2 minutes
        what it needs: twine-start db1

      What is over
      - partition 3 had no master: its keys
        2026-03-01 10:00:07 UTC to 2026-03-01 10:04:00 UTC

      What was over before it could be mailed
      - data node a2 was dead
        2026-03-01 10:00:07 UTC to 2026-03-01 10:04:00 UTC

      What is still so
      - data node a9 is dead
        since 2026-03-01 10:00:07 UTC
        what it needs: twine-start db1

      From monitor m1, alpha of epoch 3. twine-status shows the present state.
      "
    `);
  });

  test("names fifty of a thousand and counts the rest", () => {
    const { text, html } = mailOf(Array.from({ length: 1000 }, (_, at) => begun(`dead n${at}`)));
    expect(text.match(/^- data node/gm)).toHaveLength(50);
    expect(text).toContain("- and 950 more");
    expect(html).toContain("<li>and 950 more</li>");
  });

  test("HTML holds the same and lets no name be markup", () => {
    const { html } = mailOf([begun("halt 3", { need: "twine-failover <b> & more" })]);
    expect(html).toContain("partition 3 has no master");
    expect(html).toContain("twine-failover &lt;b&gt; &amp; more");
    expect(html).not.toContain("<b>");
  });

  test("of a test says that it is one", () => {
    const mail = testMail("shop", "m1", TEMPLATES);
    expect(mail.subject).toBe("[twine shop] test");
    expect(mail.text).toBe(
      "This is a test: mail about the cluster shop reaches you.\n\nFrom m1. Nothing has happened.\n",
    );
  });
});

test("troubles of a view are its dead nodes of every kind and its partitions without a master", () => {
  expect(troublesOf(VIEW)).toEqual([]);
  const dead = withDead(VIEW, "a6667", "r1");
  const [first, ...rest] = dead.partitions;
  if (first === undefined) throw new Error("the example has partitions");
  const halted = { ...first, master: null, needs: "node a6666" };
  expect(
    troublesOf({ ...dead, partitions: [halted, ...rest] }).map(({ id, what, need }) => [
      id,
      what,
      need,
    ]),
  ).toEqual([
    [
      "halt 0",
      "partition 0 has no master, the last one was a6666: its keys can be neither read nor written",
      "node a6666",
    ],
    [
      "dead a6667",
      "data node a6667 of partition 0 on localhost:6667 is dead",
      "twine-start localhost",
    ],
    ["dead r1", "router r1 on localhost:6400 is dead", "twine-start localhost"],
  ]);
});
