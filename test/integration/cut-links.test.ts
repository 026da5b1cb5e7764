// cut-links.test.ts: the raw connections of a cut to servers that answer in pieces, wrongly, or not at all. The cuts
// themselves, on real servers: take-cut.test.ts.
import { createServer, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { CutLinks, openRawCutLink, type OpenCutLink } from "../../runtime/monitor/act/cut-links.ts";
import { systemClock } from "../../runtime/ports/clock.ts";

const INFO = [["INFO", "replication"], ["PING"]] as const;
const toClose: (() => void)[] = [];
afterEach(() => {
  for (const close of toClose.splice(0)) close();
});

/** A link to a server that answers CLIENT SETNAME, then gives its connection to `script` with whatever it is sent. */
async function linkTo(
  script: (socket: Socket, sent: string) => void,
  silenceMsMax = 60_000,
): Promise<OpenCutLink> {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => {
      socket.write("+OK\r\n");
      socket.on("data", (sent) => {
        script(socket, sent.toString("latin1"));
      });
    });
    toClose.push(() => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  toClose.push(() => server.close());
  const { port } = server.address() as { port: number };
  const link = await openRawCutLink(
    { node: "a1", host: "127.0.0.1", port },
    {
      ...{ clock: systemClock, credentials: undefined, clientName: "twined:m1:1" },
      silenceMsMax,
    },
  );
  toClose.push(() => {
    link.close();
  });
  return link;
}

const settled = (replies: readonly Promise<unknown>[]): Promise<string[]> =>
  Promise.all(
    replies.map((reply) =>
      reply.then(String, (error: unknown) => (error instanceof Error ? error.message : "")),
    ),
  );

describe("a raw connection of cuts", () => {
  test("sends the commands of a step as one, and reads replies in pieces of one byte", async () => {
    const got: string[] = [];
    const link = await linkTo((socket, sent) => {
      got.push(sent);
      const bytes = Buffer.from("$11\r\nrole:master\r\n+PONG\r\n");
      const write = (at: number): void => {
        if (at < bytes.length)
          socket.write(bytes.subarray(at, at + 1), () => setImmediate(write, at + 1));
      };
      write(0);
    });
    expect(await settled(link.burst(INFO))).toEqual(["role:master", "PONG"]);
    expect(got).toEqual(["*2\r\n$4\r\nINFO\r\n$11\r\nreplication\r\n*1\r\n$4\r\nPING\r\n"]);
  });

  test("an error reply belongs to its command only, and has the name that shows that the node executes", async () => {
    const link = await linkTo((socket) => socket.write("-NOPERM no\r\n+PONG\r\n"));
    const [info, ping] = link.burst(INFO);
    await expect(info).rejects.toMatchObject({ name: "ReplyError", kind: "denied" });
    expect(await ping).toBe("PONG");
  });

  test.each([
    ["bytes that are no reply", "hello\r\n", /unknown reply type|hello|invalid/],
    ["a reply to no command", "+a\r\n+b\r\n+c\r\n", undefined],
    ["an end in the middle of a reply", undefined, /closed/],
  ])("%s close it, and nothing waits", async (_, bytes, why) => {
    const link = await linkTo((socket) => {
      if (bytes === undefined) socket.end("$100\r\nhalf");
      else socket.write(bytes);
    });
    const replies = await settled(link.burst(INFO));
    if (why === undefined) expect(replies).toEqual(["a", "b"]);
    else for (const reply of replies) expect(reply).toMatch(why);
    for (const reply of await settled(link.burst(INFO))) expect(reply).toMatch(/127\.0\.0\.1/);
  });

  test("a node that owes a reply too long is given up, and its last replies don't save it", async () => {
    const link = await linkTo((socket) => socket.write("$2\r\nhi\r\n"), 200);
    const [info, ping] = link.burst(INFO);
    expect(await info).toBe("hi");
    await expect(ping).rejects.toMatchObject({ kind: "silent" });
  });
});

test("a node that has moved is asked at its new place, though its process at the old one still answers", async () => {
  const opened: string[] = [];
  const closed: string[] = [];
  const options = { clock: systemClock, credentials: undefined, clientName: "twined:m1:1" };
  const links = new CutLinks(
    ({ host, port }) => {
      const place = `${host}:${port}`;
      opened.push(place);
      const close = (): void => void closed.push(place);
      return Promise.resolve({ burst: () => [Promise.resolve("PONG")], close });
    },
    { ...options, silenceMsMax: 1000 },
  );
  const at = (port: number) => links.of([{ node: "a1", host: "127.0.0.1", port }]);
  await at(1);
  await at(1);
  await at(2);
  expect([opened, closed]).toEqual([["127.0.0.1:1", "127.0.0.1:2"], ["127.0.0.1:1"]]);
});
