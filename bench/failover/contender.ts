// contender.ts: what the bench asks of each system that it measures: start, who is master, heal. What a kill is, when it
// happens, who writes and what is counted is the same for all and lies elsewhere.

/** How a writer finds the node to write to; plain data, because it goes to the writers' thread. */
export type Route =
  /** A router: one address for ever. */
  | { readonly by: "fixed"; readonly port: number }
  /** Asks every sentinel; follows the newest change. */
  | { readonly by: "sentinel"; readonly ports: readonly number[]; readonly master: string }
  /** Asks every node of a Redis Cluster who owns `slot`; the highest configuration epoch counts. */
  | { readonly by: "cluster"; readonly ports: readonly number[]; readonly slot: number };

/** Where one partition's keys are written: `{tag}:...` all lie in it. */
export interface Place {
  readonly tag: string;
  readonly route: Route;
}

/** A process that can be killed, paused and started again. */
export interface Victim {
  readonly name: string;
  readonly port: number;
  signal(name: NodeJS.Signals): void;
  /** kill -9, and gone when this resolves. */
  kill(): Promise<void>;
  /** Starts it again at once, as a supervisor would, without waiting until it answers. */
  launch(): Promise<void>;
}

export interface Roles {
  readonly master: Victim;
  readonly replicas: readonly Victim[];
}

export interface Contender {
  readonly name: string;
  /** The partition whose master is killed. */
  readonly place: Place;
  /** A partition to which nothing is done, or undefined where there is only one. */
  readonly elsewhere: Place | undefined;
  start(): Promise<void>;
  /** True when every node serves in its role and every replica is in sync. */
  isWell(): Promise<boolean>;
  roles(): Promise<Roles>;
  /** The port at which every key of `place` can be read by now. */
  readPort(): Promise<number>;
  /** Removes every key. */
  empty(): Promise<void>;
  /** Called when the fault is over and every process runs again: what an operator would have to do now. */
  mend(victim: Victim): Promise<void>;
  /** Lines of its log since the kill, each as "+MS text"; empty where it has none. */
  timeline(killedAt: Date): Promise<readonly string[]>;
  /** Ends every process and removes its folder. */
  stop(): Promise<void>;
}
