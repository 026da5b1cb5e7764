// turn.ts: gathers what is to be written during one turn of the event loop, and has it written once at the turn's end.
//
//   poll: sockets are read -> lanes and clients fill their buffers, and sign up here
//   check (setImmediate): every lane writes once, then every client
//
// Redis and the clients get few large pieces instead of many small ones; the cost of a write is a system call's.

export interface TurnMember {
  /** Writes what has been gathered. */
  flush(): void;
}

export class Turn {
  #lanes: TurnMember[] = [];
  #clients: TurnMember[] = [];
  #isScheduled = false;
  readonly #readClock: () => number;
  #nowMs = 0;

  constructor(readClock: () => number) {
    this.#readClock = readClock;
  }

  /** The clock as it was when the first member of this turn signed up. */
  get nowMs(): number {
    if (!this.#isScheduled) this.#schedule();
    return this.#nowMs;
  }

  /** Signs a lane up; once per turn. */
  addLane(lane: TurnMember): void {
    this.#lanes.push(lane);
    if (!this.#isScheduled) this.#schedule();
  }

  /** Signs a client up; once per turn. */
  addClient(client: TurnMember): void {
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
    const [lanes, clients] = [this.#lanes, this.#clients];
    // Whoever signs up from here on does so for the next turn.
    this.#lanes = [];
    this.#clients = [];
    this.#isScheduled = false;
    for (const lane of lanes) lane.flush();
    for (const client of clients) client.flush();
  }
}
