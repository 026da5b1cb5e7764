// What a simulated status node answers, and when: nobody hears of what its disk does not have yet.
import { expect, test } from "vitest";
import { World } from "./world.ts";

test("a status node that slept serves a reader only after the writes before it are on its disk", async () => {
  const calm = { leastMs: 0.1, spreadMs: 0, slowOneIn: 0, lostOneIn: 0, repeatedOneIn: 0 };
  const scenario = { statusNodes: 1, fsyncMs: 5, ackReplicas: 0, weather: calm };
  const { scheduler, statusNodes, monitors } = new World({ seed: 1, scenario });
  const [node] = statusNodes;
  const [client] = monitors;
  if (node === undefined || client === undefined) throw new Error("the world lacks a process");
  const passMs = (ms: number): Promise<boolean> => scheduler.run(() => false, scheduler.nowMs + ms);
  node.start();
  client.start();
  const acceptor = node.seenFrom(client, client.clock(), 1000);
  const order: string[] = [];
  const prepare = (count: number): Promise<unknown> =>
    acceptor.prepare({ ballot: { count, proposer: "m1" } });
  void prepare(1).then(() => order.push("first write"));
  await passMs(1);
  void prepare(2).then(() => order.push("second write"));
  await passMs(1);
  void acceptor.read(false).then(() => order.push("read"));
  await passMs(0.2);
  node.process.pause();
  await passMs(50);
  expect(order).toEqual([]);
  node.process.resume();
  await passMs(50);
  expect(order).toEqual(["first write", "second write", "read"]);
});
