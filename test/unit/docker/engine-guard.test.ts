// engine-guard.test.ts: when a stack's endpoint may change, and what asks an engine over its own HTTP API.
import { createServer } from "node:http";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { askEngine, callEngine, containerLog } from "../../../infra/docker/engine-call.ts";
import { judgeMove } from "../../../infra/docker/engine-guard.ts";

const NOTHING = { containers: [], volumes: [] };
const OURS = { containers: ["4f2a"], volumes: ["staging-a1 2026-01-01T00:00:00Z"] };

describe("another endpoint", () => {
  test("of the engine that has the containers is only another way to it", () => {
    expect(judgeMove(OURS, OURS, false)).toBe("same");
    // The old address is gone: the containers prove it alone.
    expect(judgeMove(OURS, undefined, false)).toBe("same");
  });

  test("of the engine that has the volumes is the same one, though its containers were removed", () => {
    const removed = { ...OURS, containers: [] };
    expect(judgeMove(removed, removed, true)).toBe("same");
  });

  test("of another engine would forget the data, also where a volume there has the same name", () => {
    const namesake = { containers: [], volumes: ["staging-a1 2025-05-05T00:00:00Z"] };
    for (const isOneOfSeveral of [true, false]) {
      expect(judgeMove(NOTHING, OURS, isOneOfSeveral)).toBe("other");
      expect(judgeMove(namesake, OURS, isOneOfSeveral)).toBe("other");
    }
  });

  test("in the place of a silent one replaces one host of several, never the engine of all", () => {
    expect(judgeMove(NOTHING, undefined, true)).toBe("replaces");
    expect(judgeMove(NOTHING, undefined, false)).toBe("other");
  });

  test("is free as long as there is nothing to lose", () => {
    expect(judgeMove(NOTHING, NOTHING, false)).toBe("same");
  });
});

describe("an engine", () => {
  async function withEngine(work: (docker: string) => Promise<void>): Promise<void> {
    const folder = await mkdtemp(join(tmpdir(), "twine-engine-"));
    const socket = join(folder, "docker.sock");
    const frame = (stream: number, words: string): Buffer => {
      const head = Buffer.alloc(8);
      head.writeUInt8(stream, 0);
      head.writeUInt32BE(Buffer.byteLength(words), 4);
      return Buffer.concat([head, Buffer.from(words)]);
    };
    const server = createServer((request, response) => {
      if (request.url === "/info") response.end('{"Name":"db1"}');
      else if (request.url?.startsWith("/containers/a1/logs") === true) {
        response.end(Buffer.concat([frame(1, "one\n"), frame(2, "two\n")]));
      } else response.writeHead(404).end('{"message":"no such thing"}');
    });
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    try {
      await work(`unix://${socket}`);
    } finally {
      server.close();
      await rm(folder, { recursive: true });
    }
  }

  test("is asked for JSON and for a container's log, both its outputs", async () => {
    await withEngine(async (docker) => {
      expect(await askEngine({ docker }, "/info")).toEqual({ Name: "db1" });
      expect(await containerLog({ docker }, "a1", 40)).toBe("one\ntwo\n");
    });
  });

  test("that refuses says so in its own words, one that is not there why", async () => {
    await withEngine(async (docker) => {
      const refused = callEngine({ docker }, "/nothing");
      await expect(refused).rejects.toThrow('the engine answers 404: {"message":"no such thing"}');
    });
    const dead = callEngine({ docker: "unix:///nowhere/docker.sock" }, "/_ping");
    await expect(dead).rejects.toThrow(/ENOENT/);
  });

  test("behind an ssh that fails says what ssh said", async () => {
    const nobody = { docker: "ssh://root@127.0.0.1:1", sshOpts: ["-o", "BatchMode=yes"] };
    await expect(callEngine(nobody, "/_ping")).rejects.toThrow(/ssh/);
  });
});
