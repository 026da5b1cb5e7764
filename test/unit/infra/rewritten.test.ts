// A file into which its process writes who is master: when it is written anew, and what is taken over.
import { describe, expect, test } from "vitest";
import { digestOf } from "../../../infra/local/files/hand-edit.ts";
import { decideRewritten, withNotes } from "../../../infra/local/files/rewritten.ts";
import { renderCase } from "../../golden/render-cases.ts";

const FILES = new Map(
  renderCase({ name: "twemproxy-sentinel", isKeptWhole: () => true }).files.map(
    ({ path, text }) => [path, text],
  ),
);

function planned(path: string): string {
  return FILES.get(`localhost/${path}`) ?? "";
}

describe("decideRewritten", () => {
  const text = planned("s1_2/redis.conf");

  test("what the process wrote is kept while the plan's text is the same", () => {
    const existing = "# CONFIG REWRITE was here\n";
    const known = { planned: text, existing, remembered: [digestOf(text)] };
    expect(decideRewritten({ ...known, overwrite: false })).toEqual({
      decision: "same",
      text: existing,
    });
    expect(decideRewritten({ ...known, overwrite: true }).decision).toBe("write");
    expect(decideRewritten({ ...known, remembered: [], overwrite: false }).decision).toBe("write");
    expect(decideRewritten({ ...known, existing: undefined, overwrite: false }).text).toBe(text);
  });
});

describe("withNotes", () => {
  test("a replica that became master stays one, and a master that became a replica too", () => {
    const replica = planned("s1_2/redis.conf");
    const master = planned("s1_1/redis.conf");
    expect(replica).toMatch(/^replicaof 127\.0\.0\.1 6666$/m);
    expect(withNotes(replica, "port 6667\n")).not.toMatch(/^replicaof/m);
    const rewritten = "port 6666\nuser default on nopass\nreplicaof 127.0.0.1 6668\n";
    expect(withNotes(master, rewritten)).toMatch(/^replicaof 127\.0\.0\.1 6668$/m);
  });

  test("a Sentinel goes on with the masters and epochs that it knew, but not of a partition that has left", () => {
    const rewritten = [
      "sentinel myid 5c3f",
      "sentinel monitor twine-p0 127.0.0.1 6668 1",
      "sentinel config-epoch twine-p0 4",
      "sentinel known-replica twine-p0 127.0.0.1 6667",
      "sentinel config-epoch twine-p7 9",
      "sentinel current-epoch 4",
      "latency-tracking-info-percentiles 50 99",
    ].join("\n");
    const text = withNotes(planned("sentinel/sentinel.conf"), rewritten);
    expect(text).toMatch(/^sentinel monitor twine-p0 127\.0\.0\.1 6668 1$/m);
    expect(text).toMatch(/^sentinel monitor twine-p1 127\.0\.0\.1 7666 1$/m);
    expect(text).toMatch(/^sentinel myid 5c3f$/m);
    expect(text).toMatch(/^sentinel config-epoch twine-p0 4$/m);
    expect(text).not.toMatch(/twine-p7|latency/);
    // Who is master now must not be named as a replica, and nobody twice: Sentinel would not start.
    const replicas = [...text.matchAll(/known-replica (\S+ \S+ \d+)/g)].map(([, words]) => words);
    expect(replicas.sort()).toEqual([
      "twine-p0 127.0.0.1 6667",
      "twine-p1 127.0.0.1 7667",
      "twine-p1 127.0.0.1 7668",
    ]);
  });

  test("twemproxy keeps the present masters, by name", () => {
    const text = planned("nutcracker/nutcracker.yml");
    const changed = text.replace("127.0.0.1:6666:1 twine-p0", "127.0.0.1:6668:1 twine-p0");
    const other = text.replace("timeout: 5000", "timeout: 400");
    expect(withNotes(other, changed)).toBe(changed.replace("timeout: 5000", "timeout: 400"));
  });
});
