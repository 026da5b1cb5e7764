// router-commands-page.test.ts: docs/commands.md lists the commands of the running redis-server, all of them and no other.
import { describe, expect, test } from "vitest";
import { decodeReply } from "../../runtime/resp/decode.ts";
import { itemsOf, textOf } from "../../runtime/resp/value.ts";
import { parseCommandTable } from "../../runtime/route/commands/command-table.ts";
import { describeTable } from "../../runtime/route/commands/describe.ts";
import { readCommandPage } from "../support/command-page.ts";
import { isMissing } from "../support/programs.ts";
import { startRedis } from "../support/redis-server.ts";
import { RawClient } from "../support/router-cluster.ts";

describe.skipIf(isMissing("redis-server"))("docs/commands.md", () => {
  test("lists every command of the running server, and no other", async () => {
    const redis = await RawClient.open((await startRedis()).port);
    const ask = async (command: string) =>
      decodeReply(Buffer.from(await redis.call(command), "latin1"));
    const info = textOf(await ask("INFO server")) ?? "";
    const list = itemsOf(await ask("COMMAND LIST")).map((name) => textOf(name) ?? "");
    const described = describeTable(parseCommandTable(await ask("COMMAND")));
    redis.socket.destroy();
    const isContainer = (name: string): boolean => list.some((one) => one.startsWith(`${name}|`));
    const commands = list.filter((name) => name === "command" || !isContainer(name));
    const names = described.map(({ name }) => name.toLowerCase().replace(" ", "|"));
    expect([...names].sort()).toEqual([...commands].sort());
    // The page is of 7.0; another server's table has its own commands, and every one of them has its answer as well.
    const page = readCommandPage();
    const is70 = /^redis_version:7\.0\./m.test(info);
    expect(is70 ? described : page).toEqual(page);
  });
});
