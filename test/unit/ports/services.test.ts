// Services of a program: the order of starts and stops, and what is stopped when one fails.
import { expect, test } from "vitest";
import { provide, runServices, type Service } from "../../../runtime/ports/services.ts";
import { ManualTime } from "../../support/manual-time.ts";

/** Runs services named by letters, and ends at once when all run. `fails`: what throws. */
async function run(
  names: readonly string[],
  fails: readonly string[] = [],
  hangs = "",
): Promise<string[]> {
  const events: string[] = [];
  const time = new ManualTime();
  let end: () => void = () => undefined;
  const act = async (what: string): Promise<void> => {
    await Promise.resolve();
    events.push(what);
    if (fails.includes(what)) throw new Error(`${what} failed`);
    if (hangs === what) await new Promise(() => undefined);
    if (what === "start b" && fails.includes("end")) end();
  };
  const services = names.map((name): Service => ({
    name,
    start: () => act(`start ${name}`),
    stop: () => act(`stop ${name}`),
  }));
  const state = { isOver: false };
  const running = runServices({
    clock: time.clockOf("program"),
    services,
    ended: new Promise((resolve) => {
      end = resolve;
    }),
    onStarted: () => {
      events.push("started");
      end();
    },
    onStopped: (name, error) => {
      if (error !== undefined) events.push(`${name}: ${error.message}`);
    },
    stopMsMax: 100,
  })
    .catch((error: unknown) => events.push(String(error)))
    .finally(() => {
      state.isOver = true;
    });
  for (let ms = 0; ms < 1000 && !state.isOver; ms += 1) {
    await time.step();
    await new Promise((resolve) => setImmediate(resolve));
  }
  await running;
  return events;
}

test("services stop in the reverse of the order in which they start", async () => {
  expect(await run(["a", "b"])).toEqual(["start a", "start b", "started", "stop b", "stop a"]);
});

test("when one fails to start, those before it are stopped and its failure is the program's", async () => {
  const events = await run(["a", "b", "c"], ["start b"]);
  expect(events).toEqual(["start a", "start b", "stop a", "Error: start b failed"]);
});

test("one that fails to stop, or hangs, keeps none of the others from stopping", async () => {
  expect((await run(["a", "b", "c"], ["stop c"])).slice(4)).toEqual([
    "stop c",
    "c: stop c failed",
    "stop b",
    "stop a",
  ]);
  expect((await run(["a", "b", "c"], [], "stop b")).slice(4)).toEqual([
    "stop c",
    "stop b",
    "b: did not stop within 100 ms",
    "stop a",
  ]);
});

test("an end that comes while services start starts no more of them", async () => {
  expect(await run(["a", "b", "c"], ["end"])).toEqual(["start a", "start b", "stop b", "stop a"]);
});

test("what a service provides can be had once it has started, and not before", async () => {
  const closed: number[] = [];
  const seven = provide(
    "seven",
    () => 7,
    (running) => closed.push(running),
  );
  expect(() => seven.running).toThrow("the service seven is used before it has started");
  await seven.start();
  expect(seven.running).toBe(7);
  await seven.stop();
  expect(closed).toEqual([7]);
});
