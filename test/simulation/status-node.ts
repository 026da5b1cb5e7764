// status-node.ts: one simulated status node: an acceptor and a shared hashes behind one thread and one disk.
//
//   request --> executed in memory --> fsync --> reply         crash before the fsync: as if it had never been asked
//
// As with `appendfsync always`: nobody is answered, and nobody else is served, before the disk has it.
import type { Clock } from "../../runtime/ports/clock.ts";
import type { RedisReply } from "../../runtime/ports/redis-link.ts";
import {
  READ_SCRIPT,
  REMOVE_SCRIPT,
  REPLACE_SCRIPT,
} from "../../runtime/register/shared-scripts.ts";
import { memoryAcceptor, type MemoryAcceptor } from "../../runtime/register/memory-acceptor.ts";
import type { Acceptor } from "../../runtime/register/register.ts";
import type { SeededRandom } from "../support/seeded-random.ts";
import type { CommandServer, Connection, Reply } from "./connection.ts";
import type { Mistake } from "./mistakes.ts";
import type { Network } from "./network.ts";
import type { Address } from "./replication-link.ts";
import type { Scheduler } from "./scheduler.ts";
import type { SimProcess } from "./sim-process.ts";

export interface StatusNodeOptions {
  readonly cluster: string;
  readonly address: Address;
  readonly process: SimProcess;
  readonly scheduler: Scheduler;
  readonly network: Network;
  readonly random: SeededRandom;
  readonly fsyncMs: number;
  readonly mistake: Mistake | undefined;
  /** An accept or a seed is on the disk: `acceptor.peek()` shows it. */
  readonly onVote: (node: StatusNode) => void;
}

export class StatusNode implements CommandServer {
  readonly address: Address;
  readonly process: SimProcess;
  readonly acceptor: MemoryAcceptor;
  readonly #options: StatusNodeOptions;
  readonly #connections = new Set<Connection>();
  readonly #hashes = new Map<string, Map<string, string>>();
  readonly #followers = new Set<() => void>();
  /** What was asked for while another step was under way: a process that slept may not answer from what its disk lacks. */
  #waiting: (() => void)[] = [];
  #isBusy = false;

  constructor(options: StatusNodeOptions) {
    this.#options = options;
    this.address = options.address;
    this.process = options.process;
    this.acceptor = memoryAcceptor(options.process.name, options.cluster);
    this.acceptor.setFsync("no");
    this.acceptor.onPublish(() => {
      for (const tell of this.#followers) tell();
    });
  }

  get name(): string {
    return this.process.name;
  }

  start(): void {
    this.process.start();
    this.acceptor.restart();
    this.#connections.clear();
    this.#waiting = [];
    this.#isBusy = false;
  }

  end(kind: "kill" | "power"): void {
    this.process.stop({ isMute: kind === "power" });
    this.acceptor.restart();
    for (const connection of this.#connections) connection.serverEnded();
    this.#connections.clear();
  }

  empty(): void {
    this.acceptor.empty();
    this.#hashes.clear();
  }

  connected(connection: Connection): void {
    this.#connections.add(connection);
  }

  disconnected(connection: Connection): void {
    this.#connections.delete(connection);
  }

  clientEnded(client: SimProcess): void {
    for (const connection of this.#connections) {
      if (connection.client === client) connection.clientEnded();
    }
  }

  /** The commands of the shared hashes; the register has a door of its own, seenFrom(). */
  execute(_connection: Connection, command: readonly string[], reply: Reply): void {
    const [word = "", key = "", ...args] = command;
    switch (word.toUpperCase()) {
      case "GET":
        reply(this.acceptor.peek().stamp);
        break;
      case "HGETALL":
        this.#once(false, () => {
          reply([...this.#hash(key)].flat());
        });
        break;
      case "EVAL":
        this.#script(key, args, reply);
        break;
      case "HSET":
        this.#once(true, () => {
          const hash = this.#hash(key);
          for (let index = 0; index + 1 < args.length; index += 2) {
            hash.set(args[index] ?? "", args[index + 1] ?? "");
          }
          reply(args.length / 2);
        });
        break;
      case "HDEL":
        this.#once(true, () => {
          reply(args.filter((field) => this.#hash(key).delete(field)).length);
        });
        break;
      case "PUBLISH":
        reply(0);
        break;
      default:
        reply(new Error(`ERR unknown command '${word}' in the simulation`));
    }
  }

  /** The scripts of the shared hashes, as far as well-formed entries need them. */
  #script(script: string, [, key = "", ...args]: readonly string[], reply: Reply): void {
    const hash = this.#hash(key);
    if (script === READ_SCRIPT) {
      this.#once(false, () => {
        reply([[...hash].flat(), []]);
      });
    } else if (script === REMOVE_SCRIPT) {
      this.#once(true, () => {
        const [field = "", entry] = args;
        reply(hash.get(field) === entry && hash.delete(field) ? 1 : 0);
      });
    } else if (script === REPLACE_SCRIPT) {
      this.#once(true, () => {
        const [field = "", entry = "", wanted = "", unwanted = ""] = args;
        const present = hash.get(field);
        const isKept =
          present !== undefined &&
          (!present.includes(wanted) || (unwanted !== "" && present.includes(unwanted)));
        if (!isKept) hash.set(field, entry);
        reply(isKept ? 0 : 1);
      });
    } else reply(new Error("ERR unknown script in the simulation"));
  }

  /** The acceptor as `client` reaches it over the network: requests and replies may be lost, late, or come twice. */
  seenFrom(client: SimProcess, clock: Clock, answerMs: number): Acceptor {
    const ask = <R extends RedisReply | object>(
      isWrite: boolean,
      mayRepeat: boolean,
      step: () => Promise<R>,
    ): Promise<R> => this.#ask(client, clock, answerMs, isWrite, mayRepeat, step);
    const { acceptor } = this;
    return {
      name: this.name,
      prepare: (request) => ask(true, true, () => acceptor.prepare(request)),
      accept: (request) => ask(true, true, () => acceptor.accept(request)),
      read: (withBody) => ask(false, true, () => acceptor.read(withBody)),
      seed: (request) => ask(true, false, () => acceptor.seed(request)),
    };
  }

  /** `task` runs at `client`, a network's way after each PUBLISH. */
  subscribe(client: SimProcess, task: () => void): void {
    const { life } = client;
    const stream = this.#options.network.stream(this.process, client);
    const tell = (): void => {
      if (!client.isAlive(life)) {
        this.#followers.delete(tell);
        return;
      }
      stream.send(() => {
        client.run(life, task);
      });
    };
    this.#followers.add(tell);
  }

  #ask<R>(
    client: SimProcess,
    clock: Clock,
    answerMs: number,
    isWrite: boolean,
    mayRepeat: boolean,
    step: () => Promise<R>,
  ): Promise<R> {
    const { life } = client;
    const { network } = this.#options;
    return new Promise((resolve, reject) => {
      let wasSent = false;
      const forget = clock.after(answerMs, () => {
        reject(new Error(`${this.name}: no answer within ${answerMs} ms`));
      });
      const answer = (task: () => void): void => {
        network.post(this.process, client, () => {
          client.run(life, () => {
            forget();
            task();
          });
        });
      };
      network.post(client, this.process, () => {
        if (wasSent && !mayRepeat) return;
        wasSent = true;
        const { process } = this;
        if (process.isMute) return;
        if (!process.isUp) {
          answer(() => {
            reject(new Error(`${this.name}: connect ECONNREFUSED`));
          });
          return;
        }
        process.run(process.life, () => {
          this.#once(isWrite, step, (reply) => {
            answer(() => {
              resolve(reply);
            });
          });
        });
      });
    });
  }

  /** One step after another, none before the disk has the one before it; `done` hears of it when the disk has it. */
  #once<R>(
    isWrite: boolean,
    step: () => R | Promise<R>,
    done: (reply: R) => void = () => undefined,
  ): void {
    const { scheduler, fsyncMs, random } = this.#options;
    const { life } = this.process;
    const spentMs = isWrite ? fsyncMs * (0.5 + random.next()) : 0;
    this.#waiting.push(() => {
      this.process.run(life, () => {
        void Promise.resolve(step()).then((reply) => {
          const finish = (): void => {
            if (isWrite) this.#synced();
            done(reply);
            this.#isBusy = false;
            this.#goOn();
          };
          if (!isWrite) finish();
          else {
            scheduler.after(spentMs, () => {
              this.process.run(life, finish);
            });
          }
        });
      });
    });
    this.#goOn();
  }

  #goOn(): void {
    if (this.#isBusy) return;
    const next = this.#waiting.shift();
    this.#isBusy = next !== undefined;
    next?.();
  }

  #synced(): void {
    const { mistake, random, onVote } = this.#options;
    if (mistake !== "fsync-off" || random.isOnceIn(20)) this.acceptor.sync();
    onVote(this);
  }

  #hash(key: string): Map<string, string> {
    const hash = this.#hashes.get(key) ?? new Map<string, string>();
    this.#hashes.set(key, hash);
    return hash;
  }
}
