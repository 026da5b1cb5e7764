// router-commands-users.test.ts: with a password a router asks its nodes as a user with few rights. Whatever the router's rules
// send on, that user may run: by ACL DRYRUN of a real redis-server, with the users that a plan gives it.
import { describe, expect, test } from "vitest";
import { dataUsers } from "../../infra/plan/acl.ts";
import { decodeReply } from "../../runtime/resp/decode.ts";
import { parseCommandTable, type CommandSpec } from "../../runtime/route/commands/command-table.ts";
import { ruleOf } from "../../runtime/route/commands/policy.ts";
import { isMissing } from "../support/programs.ts";
import { startRedis } from "../support/redis-server.ts";
import { RawClient } from "../support/router-cluster.ts";

/** Of these the nodes hear nothing. */
const AT_THE_ROUTER: ReadonlySet<string> = new Set(["session", "answer", "refuse"]);

describe.skipIf(isMissing("redis-server"))("the user of routers", () => {
  test("may run every command that a router sends to a node", async () => {
    const redis = await RawClient.open((await startRedis()).port);
    const rules = dataUsers(7).find(({ name }) => name === "router")?.rules ?? "";
    const user = ["ACL", "SETUSER", "router", "on", "nopass", ...rules.split(" ")];
    expect(await redis.callArgs(user)).toBe("+OK\r\n");
    const reply = Buffer.from(await redis.call("COMMAND"), "latin1");
    const specs = [...parseCommandTable(decodeReply(reply)).values()].flatMap(withSubcommands);
    const denied: string[] = [];
    for (const spec of specs.filter((one) => !AT_THE_ROUTER.has(ruleOf(one).kind))) {
      const words = spec.name.split("|");
      while (words.length < Math.abs(spec.arity)) words.push("1");
      const said = await redis.callArgs(["ACL", "DRYRUN", "router", ...words]);
      if (!said.startsWith("+OK")) denied.push(`${spec.name}: ${said}`);
    }
    redis.socket.destroy();
    expect(denied).toEqual([]);
  });
});

function withSubcommands(spec: CommandSpec): CommandSpec[] {
  return spec.subcommands.size === 0 ? [spec] : [...spec.subcommands.values()];
}
