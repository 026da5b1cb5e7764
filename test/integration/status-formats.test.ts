// The published XML schema, tried by a validator that is not ours.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { renderXml } from "../../runtime/status/xml.ts";
import { runCommand, type Ran } from "../support/run-tool.ts";
import { isMissing } from "../support/programs.ts";
import { ROOT } from "../support/source-files.ts";
import { REPORTS } from "../unit/status/example-reports.ts";

async function validate(document: string): Promise<Ran> {
  const folder = await mkdtemp(join(tmpdir(), "twine-xml-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, "status.xml"), document);
  const schema = join(ROOT, "docs/status.xsd");
  return runCommand("xmllint", ["--noout", "--schema", schema, "status.xml"], { cwd: folder });
}

describe.skipIf(isMissing("xmllint"))("docs/status.xsd", () => {
  test.each(Object.entries(REPORTS))("%s: valid by the published schema", async (_, make) => {
    const ran = await validate(renderXml(make()));
    expect(ran).toMatchObject({ code: 0, stderr: "status.xml validates\n" });
  });

  test("the schema refuses a state, a role and a partition that do not exist", async () => {
    const text = renderXml(REPORTS["a fresh cluster that is OK"]?.() ?? expect.fail("no example"));
    expect((await validate(text.replace('state="OK"', 'state="FINE"'))).code).not.toBe(0);
    expect((await validate(text.replace('role="up"', 'role="king"'))).code).not.toBe(0);
    expect((await validate(text.replace('index="1"', 'index="0"'))).code).not.toBe(0);
  });
});
