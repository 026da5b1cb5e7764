// Which master counts when Sentinels answer differently.
import { describe, expect, test } from "vitest";
import { agreedMaster, type SentinelAnswer } from "../../../runtime/twemproxy/agreed-master.ts";

const nodes = [6666, 6667, 6668].map((port) => ({ host: "127.0.0.1", port }));
const says = (sentinel: string, port: number, epoch: number): SentinelAnswer => ({
  ...{ sentinel, epoch, master: { host: "127.0.0.1", port } },
});

function agreed(seenEpoch: number, ...answers: SentinelAnswer[]): string {
  const question = { name: "twine-p0", nodes, seenEpoch };
  const { master, epoch, problem } = agreedMaster(question, answers);
  return `${master?.port ?? "none"} ${epoch}${problem === undefined ? "" : ` ${problem.code}`}`;
}

describe("agreedMaster", () => {
  test("the newest epoch counts, also when one Sentinel alone has it", () => {
    expect(agreed(0, says("m1", 6666, 0), says("m2", 6666, 0), says("m3", 6667, 1))).toBe("6667 1");
  });

  test("a Sentinel that was away can't bring the old master back", () => {
    expect(agreed(3, says("m1", 6666, 2))).toBe("none 3");
    expect(agreed(3, says("m1", 6666, 2), says("m2", 6668, 3))).toBe("6668 3");
  });

  test("two masters of one epoch: nobody is believed", () => {
    expect(agreed(0, says("m1", 6666, 0), says("m2", 6667, 0))).toBe("none 0 SENTINELS_DISAGREE");
    expect(agreed(0, says("m1", 6666, 0), says("m2", 6667, 0), says("m3", 6668, 4))).toBe("6668 4");
  });

  test("a master that twine.conf does not have is none; without answers nothing is known", () => {
    expect(agreed(0, says("m1", 9999, 5))).toBe("none 5 SENTINEL_STRANGE_MASTER");
    expect(agreed(2)).toBe("none 2");
  });
});
