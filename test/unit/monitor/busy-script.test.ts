// busy-script.test.ts: when the alpha ends a script, and when it leaves one alone.
import { expect, test } from "vitest";
import { BusyScript } from "../../../runtime/monitor/observe/busy-script.ts";
import type { RedisLink } from "../../../runtime/ports/redis-link.ts";
import { ManualTime } from "../../support/manual-time.ts";

const SCRIPT =
  "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";

function replyError(text: string): Error {
  return Object.assign(new Error(text), { name: "ReplyError" });
}

class Scene {
  readonly time = new ManualTime();
  readonly sent: string[] = [];
  killedCount = 0;
  isAlpha = true;
  answer: Error | "OK" = "OK";
  readonly script = new BusyScript({
    clock: this.time.clockOf("m1"),
    downAfterMs: () => 1000,
    mayKill: () => this.isAlpha,
    onKilled: () => {
      this.killedCount++;
    },
  });

  busy(text = SCRIPT): Promise<void> {
    const link: RedisLink = {
      call: (...words) => {
        this.sent.push(words.join(" "));
        return this.answer === "OK" ? Promise.resolve("OK") : Promise.reject(this.answer);
      },
      subscribe: () => Promise.resolve(),
      onClose: () => undefined,
      close: () => undefined,
      isOpen: true,
    };
    return this.script.busy(new Error(text), link, 0);
  }
}

test("a script is ended at 0.7 of down-after and not before, by the alpha alone", async () => {
  const scene = new Scene();
  scene.time.nowMs = 699;
  await scene.busy();
  expect(scene.script.state).toBe("running");
  scene.time.nowMs = 700;
  scene.isAlpha = false;
  await scene.busy();
  expect(scene.sent).toEqual([]);
  scene.isAlpha = true;
  await scene.busy();
  await scene.busy(
    "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN",
  );
  expect(scene.sent).toEqual(["SCRIPT KILL", "FUNCTION KILL"]);
  expect(scene.killedCount).toBe(2);
  scene.script.ended();
  expect(scene.script.state).toBe("none");
});

test("one that has written is asked to end once, and is known as such until the node answers again", async () => {
  const scene = new Scene();
  scene.time.nowMs = 800;
  scene.answer = replyError("UNKILLABLE Sorry the script already executed write commands");
  await scene.busy();
  await scene.busy();
  expect(scene.sent).toEqual(["SCRIPT KILL"]);
  expect(scene.script.state).toBe("unkillable");
  expect(scene.killedCount).toBe(0);
});

test("one that ended by itself is no trouble, and a connection that breaks is told to the caller", async () => {
  const scene = new Scene();
  scene.time.nowMs = 800;
  scene.answer = replyError("NOTBUSY No scripts in execution right now.");
  await scene.busy();
  expect(scene.script.state).toBe("running");
  scene.answer = new Error("Connection is closed.");
  await expect(scene.busy()).rejects.toThrow("Connection is closed.");
});
