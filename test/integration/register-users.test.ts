// With a password everybody comes as a user of their own: the rules that the plan writes must let each do its work
// on the status nodes, and nothing more.
import { createHash } from "node:crypto";
import { describe, expect, onTestFinished, test } from "vitest";
import { statusUsers } from "../../infra/plan/acl.ts";
import { credentialsOf } from "../../runtime/core/credentials.ts";
import { firstView } from "../../runtime/monitor/decide/views/first-view.ts";
import { silentLog } from "../../runtime/ports/log.ts";
import { systemRandom } from "../../runtime/ports/random.ts";
import { openAcceptors } from "../../runtime/register/acceptors.ts";
import { followView } from "../../runtime/register/follow.ts";
import { openSharedHashes } from "../../runtime/register/shared-hashes.ts";
import { createProposer } from "../../runtime/register/proposer.ts";
import { readRegister } from "../../runtime/register/read.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { startStatusNodes } from "../support/status-nodes.ts";

/** The bodies of these tests are no views. */
const anyBody = () => undefined;

const PASSWORD = "correct horse";

async function startLocked() {
  const nodes = await startStatusNodes(1);
  const link = await nodes.servers[0]?.link();
  for (const { name, rules } of statusUsers("twine", 7)) {
    const secret = credentialsOf(name, PASSWORD)?.password ?? "";
    const hash = createHash("sha256").update(secret).digest("hex");
    await link?.call("ACL", "SETUSER", name, "on", `#${hash}`, ...rules.split(/ (?![^(]*\))/));
  }
  await link?.call("ACL", "SETUSER", "default", "off");
  return { ...nodes.ports, password: PASSWORD };
}

function acceptorsAs(ports: Awaited<ReturnType<typeof startLocked>>, user: "monitor" | "app") {
  const opened = openAcceptors({ ...ports, user }, anyBody);
  onTestFinished(() => {
    opened.close();
  });
  return opened.acceptors;
}

describe.skipIf(isMissing("redis-server"))("the users of a status node", () => {
  test("monitors write the register, routers and programs follow it and can't", async () => {
    const ports = await startLocked();
    const proposer = createProposer({
      name: "m1",
      cluster: "twine",
      acceptors: acceptorsAs(ports, "monitor"),
      random: systemRandom,
    });
    const source = followView({ ...ports, log: silentLog });
    onTestFinished(() => source.close());
    expect(await proposer.prepare()).toMatchObject({ kind: "prepared" });
    const view = firstView(ports.config, "d", "m1", "");
    const draft = { body: JSON.stringify(view), epoch: 1, revision: 1 };
    expect(await proposer.write(draft)).toMatchObject({ kind: "chosen" });
    await until("a router follows it", () => source.isConfirmed());
    const asApp = acceptorsAs(ports, "app");
    expect(await readRegister(asApp)).toMatchObject({ value: { revision: 1 } });
    const thief = { count: 99, proposer: "thief" };
    await expect(asApp[0]?.prepare({ ballot: thief })).rejects.toThrow(/NOPERM/);
  });

  test("tools ask as the monitors do, and programs may read but never ask", async () => {
    const ports = await startLocked();
    const [tool, alpha, app] = (["monitor", "monitor", "app"] as const).map((user) => {
      const hashes = openSharedHashes({ ...ports, user });
      onTestFinished(() => hashes.close());
      return hashes;
    });
    const asked = {
      id: "r1",
      body: { kind: "accept-loss", node: "a1" },
      state: "asked",
      message: "",
    } as const;
    await tool?.askRequest(asked);
    expect(await alpha?.readRequests()).toEqual([asked]);
    await alpha?.answerRequest({ ...asked, state: "done" });
    expect(await tool?.readRequests()).toEqual([{ ...asked, state: "done" }]);
    expect(await app?.readRequests()).toEqual([{ ...asked, state: "done" }]);
    await expect(app?.askRequest(asked)).rejects.toThrow(/NOPERM/);
    const seen = JSON.stringify({ sequence: "1", confDigest: "d", suspects: [] });
    await alpha?.writeObserved("m1", seen);
    await expect(app?.writeObserved("m1", seen)).rejects.toThrow(/NOPERM/);
  });

  test("an alpha learns of a question at once, and a tool of its answer", async () => {
    const ports = await startLocked();
    const [tool, alpha] = (["monitor", "monitor"] as const).map((user) => {
      const hashes = openSharedHashes({ ...ports, user });
      onTestFinished(() => hashes.close());
      return hashes;
    });
    const seen: string[] = [];
    const counted = { tool: 0, alpha: 0 };
    const endTool = tool?.onRequestNews(() => counted.tool++);
    alpha?.onRequestNews(() => counted.alpha++);
    // The first message of each says that it is subscribed.
    await until("both are subscribed", () => counted.tool > 0 && counted.alpha > 0);
    const before = { ...counted };
    const body = { kind: "accept-loss", node: "a1" } as const;
    const asked = { id: "r9", body, state: "asked", message: "" } as const;
    await tool?.askRequest(asked);
    await until("the alpha is told", () => counted.alpha > before.alpha);
    for (const { id } of (await alpha?.readRequests()) ?? []) seen.push(id);
    expect(seen).toEqual(["r9"]);
    await until("the tool is told of its own", () => counted.tool > before.tool);
    endTool?.();
    const told = counted.tool;
    await alpha?.answerRequest({ ...asked, state: "done" });
    await until("the alpha is told of its own", () => counted.alpha > before.alpha + 1);
    expect(counted.tool).toBe(told);
  });

  test("a wrong password is a reason, not a hang", async () => {
    const ports = await startLocked();
    const reading = await readRegister(acceptorsAs({ ...ports, password: "wrong" }, "app"));
    expect(reading.silent.get("s1")).toMatchObject({ kind: "login", node: "s1" });
  });
});
