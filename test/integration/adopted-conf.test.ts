// adopted-conf.test.ts: the adopted twine.conf on real status nodes: written with the view, proved by its digest.
import { describe, expect, test } from "vitest";
import { canonicalConf, confDigest } from "../../runtime/core/conf/digest.ts";
import { registerKeys } from "../../runtime/core/register-keys.ts";
import { systemRandom } from "../../runtime/ports/random.ts";
import { CONF_BYTES_MAX, readAdoptedConf } from "../../runtime/register/adopted-conf.ts";
import { createProposer } from "../../runtime/register/proposer.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { startStatusNodes } from "../support/status-nodes.ts";

describe.skipIf(isMissing("redis-server"))("the adopted twine.conf", () => {
  test("is on every status node that accepted the view; a text that was changed there counts for nothing", async () => {
    const nodes = await startStatusNodes(3, { downAfterMs: 4000 });
    const { config } = nodes.ports;
    const { cluster } = config.settings;
    const acceptors = nodes.acceptors();
    const proposer = createProposer({ name: "m1", cluster, acceptors, random: systemRandom });
    expect(await proposer.prepare()).toMatchObject({ kind: "prepared" });
    const conf = canonicalConf(config);
    const draft = { body: "one", epoch: 1, revision: 1, conf };
    expect(await proposer.write(draft)).toMatchObject({ kind: "chosen" });
    const key = registerKeys(cluster).conf;
    const links = await Promise.all(nodes.servers.map((server) => server.link()));
    // A majority is enough for the write to return; the third node has it a moment later.
    for (const [db, link] of links.entries()) {
      await link.call("SELECT", db);
      await until(`s${db + 1} has it`, async () => (await link.call("GET", key)) === conf);
    }
    const digest = confDigest(config);
    const adopted = await readAdoptedConf(nodes.ports, digest);
    expect(adopted?.text).toBe(conf);
    expect(adopted?.config.settings).toEqual(config.settings);
    // A monitor that leads without the adopted file leaves it there.
    expect(await proposer.write({ body: "two", epoch: 1, revision: 2 })).toMatchObject({
      kind: "chosen",
    });
    await links[0]?.call("SET", key, `${conf}partitions 7\n`);
    await links[1]?.call("SET", key, "x".repeat(CONF_BYTES_MAX + 10));
    expect((await readAdoptedConf(nodes.ports, digest))?.text).toBe(conf);
    await links[2]?.call("DEL", key);
    expect(await readAdoptedConf(nodes.ports, digest)).toBeUndefined();
  });
});
