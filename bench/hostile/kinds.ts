// kinds.ts: what a hostile client of a router may do, each without a pause until its process is ended.
import { encodeCommand } from "../../runtime/resp/encode.ts";
import { RawClient } from "../../test/support/router-cluster.ts";

/** Never resolves. */
type Attack = (port: number) => Promise<never>;

async function forEver(once: () => Promise<unknown>): Promise<never> {
  for (;;) await once();
}

/** Scripts whose errors read as if the node had refused to serve. */
const falseRefusals: Attack = async (port) => {
  const client = await RawClient.open(port);
  const script = "redis.call('incr', KEYS[1]) return redis.error_reply('READONLY x')";
  return forEver(() => client.callArgs(["EVAL", script, "1", "hostile"]));
};

/** Replies nested deeper than any client's parser takes. */
const nestedReplies: Attack = async (port) => {
  const client = await RawClient.open(port);
  const script = "local t = {} for i = 1, 200 do t = {t} end return t";
  return forEver(() => client.callArgs(["EVAL_RO", script, "1", "hostile"]));
};

/** Whole pipelines that are written before a reply is read. */
const unreadPipelines: Attack = async (port) => {
  const command = encodeCommand(["SET", "hostile", "x".repeat(10_000), "GET"]);
  const count = 2000;
  const all = Buffer.concat(new Array<Buffer>(count).fill(command));
  return forEver(async () => {
    const client = await RawClient.open(port);
    client.socket.pause();
    await new Promise<void>((resolve) => {
      client.socket.write(all, () => {
        resolve();
      });
    });
    client.socket.resume();
    // The router may have closed it past output-bytes.
    const closed = new Promise((resolve) => client.socket.once("close", resolve));
    await Promise.race([client.replies(count), closed]);
    client.socket.destroy();
  });
};

/** Subscribers that never read, and somebody who publishes to them. */
const slowSubscribers: Attack = async (port) => {
  const open = async (): Promise<RawClient> => {
    const client = await RawClient.open(port);
    await client.call("SUBSCRIBE hostile");
    client.socket.pause();
    return client;
  };
  const subscribers = await Promise.all(Array.from({ length: 50 }, open));
  const publisher = await RawClient.open(port);
  const message = "x".repeat(10_000);
  return forEver(async () => {
    await publisher.callArgs(["PUBLISH", "hostile", message]);
    // Those that the router has closed come back.
    const gone = subscribers.findIndex(({ socket }) => socket.destroyed);
    if (gone !== -1) subscribers[gone] = await open();
  });
};

/** Clients that take descriptors: each blocks, so that it costs a connection to the node too, and vanishes. */
const takenDescriptors: Attack = (port) =>
  forEver(async () => {
    const clients = await Promise.all(Array.from({ length: 50 }, () => RawClient.open(port)));
    for (const client of clients) client.send(encodeCommand(["BLPOP", "nothing", "0"]));
    await new Promise((resolve) => setTimeout(resolve, 20));
    for (const { socket } of clients) socket.resetAndDestroy();
  });

export const KINDS: Readonly<Record<string, Attack>> = {
  "false-refusals": falseRefusals,
  "nested-replies": nestedReplies,
  "unread-pipelines": unreadPipelines,
  "slow-subscribers": slowSubscribers,
  "taken-descriptors": takenDescriptors,
};
