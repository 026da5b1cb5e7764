// tick.ts: gathers the writes of one tick of the event loop, so that each socket is written once, at the tick's end.
//
//   poll: sockets are read -> pipelines and clients fill their buffers, and register here
//   check (setImmediate): every pipeline writes once, then every client
//
// Nodes and clients get a few large writes instead of many small ones, each of which would cost a system call.

export interface TickMember {
  /** Writes everything that was gathered. */
  flush(): void;
}

export class Tick {
  #pipelines: TickMember[] = [];
  #clients: TickMember[] = [];
  #isScheduled = false;
  readonly #readClock: () => number;
  #nowMs = 0;

  constructor(readClock: () => number) {
    this.#readClock = readClock;
  }

  /** The time at which the first member of this tick registered. */
  get nowMs(): number {
    if (!this.#isScheduled) this.#schedule();
    return this.#nowMs;
  }

  /** Registers a pipeline; once per tick. */
  addPipeline(pipeline: TickMember): void {
    this.#pipelines.push(pipeline);
    if (!this.#isScheduled) this.#schedule();
  }

  /** Registers a client; once per tick. */
  addClient(client: TickMember): void {
    this.#clients.push(client);
    if (!this.#isScheduled) this.#schedule();
  }

  #schedule(): void {
    this.#isScheduled = true;
    this.#nowMs = this.#readClock();
    setImmediate(() => {
      this.#run();
    });
  }

  #run(): void {
    const [pipelines, clients] = [this.#pipelines, this.#clients];
    // Members that register from here on belong to the next tick.
    this.#pipelines = [];
    this.#clients = [];
    this.#isScheduled = false;
    for (const pipeline of pipelines) pipeline.flush();
    for (const client of clients) client.flush();
  }
}
