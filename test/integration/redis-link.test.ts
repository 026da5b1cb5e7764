// What the port promises beyond ioredis: bounded connecting, and nothing left behind.
import { join } from "node:path";
import { expect, test } from "vitest";
import { openRedisLink } from "../../runtime/ports/redis-link.ts";
import { runCommand } from "../support/run-tool.ts";
import { freePort } from "../support/port-claims.ts";
import { startRedis } from "../support/redis-server.ts";
import { ROOT } from "../support/source-files.ts";

test("a paused server, which accepts connections and says nothing, is given up", async () => {
  const redis = await startRedis();
  redis.signal("SIGSTOP");
  const opening = openRedisLink(
    { host: "127.0.0.1", port: redis.port },
    { connectTimeoutMs: 300, clientName: "test" },
  );
  await expect(opening).rejects.toMatchObject({ name: "LinkError", kind: "no-answer" });
});

test("after a refused connection no timer keeps the process alive", async () => {
  const program = `
    import { openRedisLink } from ${JSON.stringify(join(ROOT, "runtime/ports/redis-link.ts"))};
    const address = { host: "127.0.0.1", port: ${await freePort()} };
    const kind = await openRedisLink(address, { connectTimeoutMs: 500 }).catch((error) => error.kind);
    console.log(kind, process.getActiveResourcesInfo().includes("Timeout"));
  `;
  const args = ["--input-type=module", "--eval", program];
  const ran = await runCommand(process.execPath, args, { cwd: ROOT });
  expect(ran).toMatchObject({ code: 0, stdout: "refused false\n" });
});
