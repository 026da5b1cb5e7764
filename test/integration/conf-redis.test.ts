// What twine.conf hands on to Redis means to Redis what it means here.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseConf } from "../../runtime/core/conf/parse.ts";
import { parseSize } from "../../runtime/core/conf/sizes.ts";
import { startRedis } from "../support/redis-server.ts";
import { isMissing } from "../support/programs.ts";

describe.skipIf(isMissing("redis-server"))("a real redis-server", () => {
  test("reads every unit of size as parseSize does", async () => {
    const redis = await startRedis();
    const link = await redis.link();
    for (const size of ["123456789", "900000b", "9000k", "9000kb", "64m", "64MB", "1g", "1gb"]) {
      await link.call("CONFIG", "SET", "maxmemory", size);
      const reply = await link.call("CONFIG", "GET", "maxmemory");
      expect(reply).toEqual(["maxmemory", String(parseSize(size))]);
    }
  });

  test("starts with the values of redis lines as they are printed, quotes and # included", async () => {
    const text = `a=data 0 6666 0
      redis save ""      # no snapshots
      redis maxmemory 64mb
      redis proc-title-template "{title} # {listen-addr}"
      redis client-output-buffer-limit replica 1mb 512kb 60
      redis notify-keyspace-events "Ex"`;
    const { config } = parseConf(text, "twine.conf");
    const lines = config?.settings.redis.map(({ name, value }) => `${name} ${value}`) ?? [];
    expect(lines).toHaveLength(5);
    const redis = await startRedis();
    await redis.kill();
    const file = join(redis.folder, "extra.conf");
    await writeFile(file, `${lines.join("\n")}\n`);
    const again = await startRedis([`include ${file}`]);
    const link = await again.link();
    const get = async (name: string): Promise<unknown> => link.call("CONFIG", "GET", name);
    expect(await get("save")).toEqual(["save", ""]);
    expect(await get("maxmemory")).toEqual(["maxmemory", "67108864"]);
    expect(await get("proc-title-template")).toEqual([
      "proc-title-template",
      "{title} # {listen-addr}",
    ]);
    expect(await get("notify-keyspace-events")).toEqual(["notify-keyspace-events", "xE"]);
  });
});
