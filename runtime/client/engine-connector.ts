// engine-connector.ts: the connector for ioredis: its stream is one end of a pair; the engine has the other end.
import type { Duplex } from "node:stream";
import { AbstractConnector, type Redis } from "ioredis";
import { closedError } from "./reply-errors.ts";

type NetStream = Redis["stream"];

/** The client of this connector. */
export interface Connected {
  /** Resolves when the engine can be used. Rejects only with errors that waiting can't resolve. */
  openStream(): Promise<Duplex>;
  /** Called when the stream has ended, or could not be opened. ioredis handles it in the next tick. */
  closed(): void;
}

export class EngineConnector extends AbstractConnector {
  /** Set before the first connection. */
  client: Connected | undefined;
  #abort: ((error: Error) => void) | undefined;

  constructor() {
    super(0);
  }

  static of(redis: Redis): EngineConnector {
    return redis["connector"] as EngineConnector;
  }

  override async connect(): Promise<NetStream> {
    const { client } = this;
    if (client === undefined) throw closedError();
    const aborted = new Promise<never>((_resolve, reject) => (this.#abort = reject));
    try {
      const stream = await Promise.race([client.openStream(), aborted]);
      // Before ioredis's own listener, which must find the stream's commands failed.
      stream.once("close", () => {
        client.closed();
      });
      // ioredis uses only methods of a duplex stream, because noDelay and keepAlive are off.
      this.stream = stream as NetStream;
      return this.stream;
    } catch (error) {
      setImmediate(() => {
        client.closed();
      });
      throw error;
    } finally {
      this.#abort = undefined;
    }
  }

  /** Disconnects at once: there is no other host, and no data waits in a kernel. */
  override disconnect(): void {
    this.#abort?.(closedError());
    (this.stream as NetStream | undefined)?.destroy();
  }
}
