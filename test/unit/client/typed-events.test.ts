// typed-events.test.ts: every way to listen knows what the client's own events and ioredis's tell; the types are checked by
// the compiler, what is heard by the test.
import { expect, expectTypeOf, test } from "vitest";
import { TwineClient } from "../../../runtime/client/twine-client.ts";

test("every way to add and remove a listener has types, for own events and for ioredis's", async () => {
  const client = new TwineClient({ statusNodes: ["127.0.0.1:1"], lazyConnect: true });
  const heard: string[] = [];
  const ways = ["on", "once", "addListener", "prependListener", "prependOnceListener"] as const;
  for (const way of ways) {
    const chained = client[way]("held", (wait) => {
      expectTypeOf(wait).toEqualTypeOf<{ readonly partition: number; readonly why: string }>();
      heard.push(`${way} ${wait.why}`);
    });
    expectTypeOf(chained).toEqualTypeOf<TwineClient>();
    client[way]("pmessage", (...texts) => {
      expectTypeOf(texts).toEqualTypeOf<[pattern: string, channel: string, message: string]>();
    });
    client[way]("error", (error) => {
      expectTypeOf(error).toEqualTypeOf<Error>();
    });
  }
  const change = (told: { readonly from: string; readonly to: string }): void => {
    heard.push(`${told.from} ${told.to}`);
  };
  // @ts-expect-error: it tells node names, no text.
  client.off("failover", (text: string) => heard.push(text));
  for (const way of ["off", "removeListener"] as const) {
    client.on("failover", change);
    client[way]("failover", change);
  }
  client.report("failover", { partition: 0, from: "a1", to: "a2" });
  for (let count = 0; count < 2; count++) client.report("held", { partition: 0, why: "x" });
  await new Promise((resolve) => setImmediate(resolve));
  expect(heard.filter((text) => text.startsWith("prependOnce"))).toEqual(["prependOnceListener x"]);
  expect(heard).toHaveLength(2 * 3 + 2);
  client.disconnect();
});
