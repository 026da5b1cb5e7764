// scan-copy.ts: the move that proxies without one of their own leave to a tool: every key of two redis-servers is read by SCAN
// and DUMP and written by RESTORE into three others, while clients write; then the clients are switched. What is written behind
// the cursor is lost: the bench counts it.
import { crc32 } from "node:zlib";
import { systemClock as clock } from "../../runtime/ports/clock.ts";
import { openNodeSocket, type NodeSocket } from "../../runtime/replication/node-socket.ts";
import { itemsOf, numberOf, textOf, type RespValue } from "../../runtime/resp/value.ts";
import type { CommandLink } from "../../test/support/counted-writer.ts";
import { startRedis, type TestRedis } from "../../test/support/redis-server.ts";
import { onEnd } from "../side-by-side.ts";

const KEYS_AT_ONCE = "1000";
const SILENCE_MS_MAX = 120_000;
/** Where the key stands in a command; in all others it is the first argument. */
const KEY_AT: Readonly<Record<string, number>> = { EVAL: 3, XGROUP: 2, XINFO: 2 };

export class ScanCopy {
  readonly #old: readonly TestRedis[];
  readonly #new: readonly TestRedis[];
  #isSwitched = false;

  private constructor(old: readonly TestRedis[], others: readonly TestRedis[]) {
    this.#old = old;
    this.#new = others;
  }

  static async start(): Promise<ScanCopy> {
    const some = (count: number): Promise<TestRedis[]> =>
      Promise.all(Array.from({ length: count }, () => startRedis([], onEnd)));
    return new ScanCopy(await some(2), await some(3));
  }

  async open(): Promise<CommandLink> {
    const [old, others] = [await socketsOf(this.#old), await socketsOf(this.#new)];
    return new ShardLink([...old, ...others], () => (this.#isSwitched ? others : old));
  }

  /** Answers how many keys were copied. */
  async copy(): Promise<number> {
    const [from, to] = [await socketsOf(this.#old), await socketsOf(this.#new)];
    let copied = 0;
    for (const source of from) {
      let cursor = "0";
      do {
        const [next, keys] = itemsOf(await source.call("SCAN", cursor, "COUNT", KEYS_AT_ONCE));
        cursor = textOf(next) ?? "0";
        await Promise.all(itemsOf(keys).map((key) => copyKey(source, to, key)));
        copied += itemsOf(keys).length;
      } while (cursor !== "0");
    }
    this.#isSwitched = true;
    for (const socket of [...from, ...to]) socket.destroy();
    return copied;
  }
}

function socketsOf(servers: readonly TestRedis[]): Promise<NodeSocket[]> {
  const options = { clock, silenceMsMax: SILENCE_MS_MAX };
  return Promise.all(
    servers.map(({ port }) => openNodeSocket({ host: "127.0.0.1", port }, options)),
  );
}

function shardOf(key: string | Buffer, sockets: readonly NodeSocket[]): NodeSocket {
  const socket = sockets[crc32(key) % sockets.length];
  if (socket === undefined) throw new Error("there is no server");
  return socket;
}

async function copyKey(source: NodeSocket, to: readonly NodeSocket[], reply: RespValue) {
  if (reply.type !== "bulk") return;
  const key = reply.bytes;
  const [dump, ttl] = await Promise.all([source.call("DUMP", key), source.call("PTTL", key)]);
  if (dump.type !== "bulk") return;
  const ttlMs = String(Math.max(0, Number(numberOf(ttl))));
  await shardOf(key, to).call("RESTORE", key, ttlMs, dump.bytes, "REPLACE");
}

/** Each command to the server of its key; a transaction to that of its first command. */
class ShardLink implements CommandLink {
  readonly #all: readonly NodeSocket[];
  readonly #sockets: () => readonly NodeSocket[];
  #isQueuing = false;
  #transactionAt: NodeSocket | undefined;

  constructor(all: readonly NodeSocket[], sockets: () => readonly NodeSocket[]) {
    this.#all = all;
    this.#sockets = sockets;
  }

  call(...words: readonly string[]): Promise<RespValue> {
    const [command = ""] = words;
    const key = words[KEY_AT[command] ?? 1] ?? "";
    if (command === "MULTI") {
      this.#isQueuing = true;
      return Promise.resolve({ type: "simple", text: "OK" });
    }
    const socket = this.#transactionAt ?? shardOf(key, this.#sockets());
    if (this.#isQueuing && this.#transactionAt === undefined) {
      this.#transactionAt = socket;
      // Not awaited: commands of one link keep their order.
      void socket.call("MULTI");
    }
    if (command === "EXEC") {
      this.#isQueuing = false;
      this.#transactionAt = undefined;
    }
    return socket.call(...words);
  }

  destroy(): void {
    for (const socket of this.#all) socket.destroy();
  }
}
