// kinds.ts: the ways in which a master is lost, and what happens around each.
//
//            before             fault                     after the first write, or after `givenUpMs`
//   kill                        kill -9                   started again
//   stop                        SIGSTOP                   SIGCONT
//   restart                     kill -9, 0.3 s, started   -
//   paused   0.5 s: replicas    kill -9, replicas         started again
//            are paused         go on
import type { Roles } from "./contender.ts";

export interface Kind {
  readonly name: string;
  readonly what: string;
  readonly valueBytes: number;
  /** Done before the kill; resolves when it is time to kill. */
  before(roles: Roles): Promise<void>;
  /** The fault itself; what it waits for comes after the signal. */
  fault(roles: Roles): Promise<void>;
  /** What ends the fault, when writes are acknowledged again. */
  after(roles: Roles): Promise<void>;
}

const RESTART_AFTER_MS = 300;
const PAUSED_FOR_MS = 500;
const SMALL = 100;
const LARGE = 4096;

export function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

const nothing = (): Promise<void> => Promise.resolve();

export const KINDS: readonly Kind[] = [
  {
    name: "kill",
    what: "kill -9 of the master",
    valueBytes: SMALL,
    before: nothing,
    fault: ({ master }) => master.kill(),
    after: ({ master }) => master.launch(),
  },
  {
    name: "stop",
    what: "SIGSTOP of the master, SIGCONT after the failover",
    valueBytes: SMALL,
    before: nothing,
    fault: ({ master }) => {
      master.signal("SIGSTOP");
      return Promise.resolve();
    },
    after: ({ master }) => {
      master.signal("SIGCONT");
      return Promise.resolve();
    },
  },
  {
    name: "restart",
    what: "kill -9 of the master, started again 0.3 s later without persistence",
    valueBytes: SMALL,
    before: nothing,
    fault: async ({ master }) => {
      await master.kill();
      await wait(RESTART_AFTER_MS);
      await master.launch();
    },
    after: nothing,
  },
  {
    name: "paused",
    what: "every replica paused for 0.5 s before kill -9 of the master, values of 4 kB",
    valueBytes: LARGE,
    before: async ({ replicas }) => {
      for (const replica of replicas) replica.signal("SIGSTOP");
      await wait(PAUSED_FOR_MS);
    },
    fault: async ({ master, replicas }) => {
      const killed = master.kill();
      for (const replica of replicas) replica.signal("SIGCONT");
      await killed;
    },
    after: ({ master }) => master.launch(),
  },
];
