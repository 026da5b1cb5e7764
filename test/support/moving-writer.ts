// moving-writer.ts: a client that writes through a proxy, changes to another address when it is told to, and remembers every
// write that was acknowledged: numbered keys, each written once.
import { setTimeout as delay } from "node:timers/promises";
import { systemClock } from "../../runtime/ports/clock.ts";
import { openNodeSocket, type NodeSocket } from "../../runtime/replication/node-socket.ts";
import { textOf } from "../../runtime/resp/value.ts";

export class MovingWriter {
  readonly acknowledged: string[] = [];
  readonly errors: string[] = [];
  #port: number;
  #socket: NodeSocket | undefined;
  #login: readonly string[];
  #isOver = false;
  readonly #running: Promise<void>;

  /** `login`: a command sent first on each connection; empty: none. */
  constructor(port: number, login: readonly string[] = []) {
    this.#port = port;
    this.#login = login;
    this.#running = this.#run();
  }

  moveTo(port: number, login: readonly string[] = []): void {
    this.#port = port;
    this.#login = login;
    this.#socket?.destroy();
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#running;
  }

  /** Acknowledged keys that this port does not have. */
  async missingAt(port: number, login: readonly string[] = []): Promise<string[]> {
    const socket = await open(port, login);
    try {
      // It may go on writing meanwhile.
      const keys = [...this.acknowledged];
      const values = await Promise.all(keys.map((key) => socket.call("GET", key)));
      return keys.filter((key, index) => textOf(values[index]) !== key);
    } finally {
      socket.destroy();
    }
  }

  async #run(): Promise<void> {
    for (let number = 0; !this.#isOver; number += 1) {
      const key = `w:${number}`;
      try {
        this.#socket ??= await open(this.#port, this.#login);
        const reply = await this.#socket.call("SET", key, key);
        if (textOf(reply) === "OK") this.acknowledged.push(key);
      } catch (error) {
        this.errors.push(String(error));
        this.#socket?.destroy();
        this.#socket = undefined;
        await delay(20);
      }
      await delay(1);
    }
    this.#socket?.destroy();
  }
}

async function open(port: number, login: readonly string[]): Promise<NodeSocket> {
  const address = { host: "127.0.0.1", port };
  const socket = await openNodeSocket(address, { clock: systemClock, silenceMsMax: 20_000 });
  if (login.length > 0) await socket.call(...login);
  return socket;
}
