import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { drained } from "../../../runtime/ports/drained.ts";

/** Two ends of one connection; nothing reads at the far end until it is resumed. */
async function ends(): Promise<{ near: Socket; far: Socket }> {
  const server = createServer({ pauseOnConnect: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("it has no port");
  const [near, [far]] = [connect(address.port, "127.0.0.1"), await once(server, "connection")] as [
    Socket,
    [Socket],
  ];
  onTestFinished(() => {
    near.destroy();
    far.destroy();
    server.close();
  });
  return { near, far };
}

function fill(socket: Socket): void {
  while (socket.write(Buffer.alloc(1024 * 1024)));
}

test("waiting a thousand times leaves no listener behind", async () => {
  const { near, far } = await ends();
  const before = near.listenerCount("close");
  far.resume();
  for (let at = 0; at < 1000; at++) {
    if (!near.write(Buffer.alloc(64 * 1024))) await drained(near);
  }
  expect(near.listenerCount("close")).toBe(before);
  expect(near.listenerCount("drain")).toBe(0);
});

test("a socket that is closed meanwhile, or was closed before, ends the wait", async () => {
  const { near, far } = await ends();
  fill(near);
  const waiting = drained(near);
  far.destroy();
  near.on("error", () => undefined);
  near.destroy();
  await waiting;
  await drained(near);
  expect(near.destroyed).toBe(true);
});
