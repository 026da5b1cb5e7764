// feed-reader.ts: commands out of the bytes of a change feed, each with the offset behind it. Pure.
//
//   bytes --> command at (offset, db, inside a MULTI or not)
//
// The feed names its database only by SELECT: before the first one it is the one that the caller knows (the RDB's feedDb), or
// unknown. A transaction is MULTI ... EXEC in the feed; a cut belongs outside of it (`isBoundary`).
import { RequestSplitter } from "../resp/request-splitter.ts";

export interface FeedCommand {
  /** Upper case. */
  readonly name: string;
  readonly args: readonly Buffer[];
  /** As it came. */
  readonly raw: Buffer;
  /** Of the history, behind this command. */
  readonly endOffset: number;
  /** -1: not known yet. */
  readonly db: number;
  /** Nothing is open behind it: the state at `endOffset` is one that clients could see. */
  readonly isBoundary: boolean;
}

export class FeedReader {
  readonly #splitter = new RequestSplitter();
  #offset: number;
  #db: number;
  #isInMulti = false;

  /** `offset`: what the consumer has already. */
  constructor(offset: number, db = -1) {
    this.#offset = offset;
    this.#db = db;
  }

  /** Behind the last whole command. */
  get offset(): number {
    return this.#offset;
  }

  get db(): number {
    return this.#db;
  }

  /** Bytes that belong to a command which is not whole yet. */
  get waitingBytes(): number {
    return this.#splitter.waitingBytes;
  }

  /** The commands that this chunk completes. Throws RespError: the offset is lost then. */
  push(chunk: Buffer): FeedCommand[] {
    this.#splitter.push(chunk);
    const commands: FeedCommand[] = [];
    for (;;) {
      const before = this.#splitter.waitingBytes;
      const request = this.#splitter.next();
      if (request === undefined) return commands;
      // By what was taken: it includes line ends that belong to no command.
      this.#offset += before - this.#splitter.waitingBytes;
      commands.push(this.#commandOf(request.raw, request.args));
    }
  }

  #commandOf(raw: Buffer, args: readonly Buffer[]): FeedCommand {
    const name = (args[0]?.toString("latin1") ?? "").toUpperCase();
    if (name === "SELECT") this.#db = Number(args[1]?.toString("latin1"));
    if (name === "MULTI") this.#isInMulti = true;
    if (name === "EXEC") this.#isInMulti = false;
    const [endOffset, db, isBoundary] = [this.#offset, this.#db, !this.#isInMulti];
    return { name, args, raw, endOffset, db, isBoundary };
  }
}
