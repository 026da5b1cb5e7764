import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, test } from "vitest";
import { packageRoot } from "../../../runtime/cli/package-root.ts";
import { renderHtml } from "../../../runtime/status/html.ts";
import { renderJson } from "../../../runtime/status/json.ts";
import { renderXml } from "../../../runtime/status/xml.ts";
import { exampleView, haltWithNeeds, NEEDS, REPORTS, reportOn } from "./example-reports.ts";

const AS_OF = "2026-03-01T10:06:00.000Z";

const read = (path: string): string => readFileSync(join(packageRoot(), path), "utf8");
const template = read("templates/status.html.hbs");

describe("json", () => {
  const schema = JSON.parse(read("docs/status.schema.json")) as object;
  const validate = new Ajv2020({ allErrors: true, allowUnionTypes: true }).compile(schema);

  test.each(Object.entries(REPORTS))("%s: valid by the published schema", (_, make) => {
    validate(JSON.parse(renderJson(make())));
    expect(validate.errors).toBeNull();
  });

  test("the view as the alpha publishes it is valid by the same schema", () => {
    validate(exampleView());
    expect(validate.errors).toBeNull();
  });

  test("the schema refuses what is not a status", () => {
    expect(validate({ ...exampleView(), state: "FINE" })).toBe(false);
    const view = exampleView();
    const nodes = view.nodes.map((node) =>
      node.kind === "monitor" ? { ...node, role: "master" } : node,
    );
    expect(validate({ ...view, nodes })).toBe(false);
  });

  test("state is the effective one, and all that the view says is handed on", () => {
    const view = { ...exampleView(), mood: "sunny" };
    const document = JSON.parse(renderJson(reportOn(view, { alphaAlive: false }))) as object;
    expect(document).toMatchObject({ ...view, state: "DEGRADED", alphaAlive: false });
  });

  test("the fields that people script against stand at the top", () => {
    const document = JSON.parse(renderJson(haltWithNeeds())) as Record<string, unknown>;
    expect(document).toMatchObject({ state: "HALT", epoch: 3, revision: 17, alpha: "m1" });
    expect((document["partitions"] as object[])[1]).toMatchObject({
      index: 1,
      master: null,
      replicas: [],
      dead: ["b7666", "b7667", "b7668"],
      needs: NEEDS,
    });
  });
});

describe("xml", () => {
  test("names what JSON names, leaves out what has no value, escapes the rest", () => {
    const text = renderXml(haltWithNeeds());
    expect(text.split("\n").filter((line) => /b7668|<needs>|"m1"/.test(line)))
      .toMatchInlineSnapshot(`
        [
          "<status xmlns="urn:twine:status:1" cluster="twine" state="HALT" epoch="3" revision="17" alpha="m1" alphaAlive="true" updatedAt="2026-03-01T10:05:07.250Z" confDigest="5d41402abc4b2a76">",
          "      <dead>b7668</dead>",
          "      <needs>a node that holds its data: b7666 was master last &amp; came back &lt;empty&gt;; "twine-failover --accept-loss b7667" gives it up</needs>",
          "    <node name="b7668" kind="data" host="localhost" port="7668" db="0" partition="1" role="dead" inSync="false" runId="0123456789abcdef0123456789abcdef01234567" since="2026-03-01T10:00:00.000Z"/>",
          "    <node name="m1" kind="monitor" host="localhost" port="7601" role="up" inSync="true" since="2026-03-01T10:00:00.000Z"/>",
          "      <remedy>if one of b7666, b7667, b7668 is stopped: twine-start localhost</remedy>",
        ]
      `);
  });

  test("characters that XML cannot hold are replaced, never written", () => {
    const text = renderXml(REPORTS["words that hurt"]?.() ?? haltWithNeeds());
    expect(text).not.toMatch(/[^\n\P{Cc}]/u);
    expect(text).toContain("]]&gt; &lt;script&gt;");
  });
});

describe("html", () => {
  test.each(Object.entries(REPORTS))(
    "%s: a whole page that loads nothing from outside",
    (_, make) => {
      const page = renderHtml(make(), template, AS_OF);
      expect(page).toMatch(/^<!doctype html>/);
      expect(page).toContain("</html>");
      expect(page).not.toMatch(/<(link|script|img|iframe|object)\b|url\(|@import|https?:/i);
      expect(page).not.toContain("[object");
      expect(page).not.toContain("undefined");
    },
  );

  test("every node and every partition is on the page", () => {
    const report = reportOn(exampleView(64, 2));
    const page = renderHtml(report, template, AS_OF);
    for (const node of report.nodes) expect(page).toContain(`>${node.name}<`);
    for (const { index } of report.partitions) expect(page).toContain(`id="p${index}"`);
  });

  test("what a partition needs is shown, escaped", () => {
    const page = renderHtml(haltWithNeeds(), template, AS_OF);
    expect(page).toContain("b7666 was master last &amp; came back &lt;empty&gt;");
    expect(page).not.toContain("<empty>");
  });

  test("a script in a name or a need never becomes one", () => {
    const page = renderHtml(REPORTS["words that hurt"]?.() ?? haltWithNeeds(), template, AS_OF);
    expect(page).toContain("&lt;script&gt;alert(1)&lt;/script&gt;");
    expect(page).toContain("db&lt;1&gt;&amp;&quot;&#x27;:6400");
  });

  test("light and dark follow the reader's own setting", () => {
    expect(template).toContain("@media (prefers-color-scheme: dark)");
  });
});
