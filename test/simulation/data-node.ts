// data-node.ts: one simulated redis-server that holds data: its process, its disk, its commands.
// It starts dead, as production's configuration says: a replica of nowhere that serves nothing.
import type { SeededRandom } from "../support/seeded-random.ts";
import type { CommandServer, Connection, Reply } from "./connection.ts";
import { Disk, type Persistence } from "./disk.ts";
import { infoText } from "./info-text.ts";
import type { Mistake } from "./mistakes.ts";
import type { Network } from "./network.ts";
import { Replication } from "./replication.ts";
import type { Address } from "./replication-link.ts";
import type { Scheduler } from "./scheduler.ts";
import type { SimProcess } from "./sim-process.ts";

export interface DataNodeOptions {
  readonly partition: number;
  readonly address: Address;
  readonly process: SimProcess;
  readonly persistence: Persistence;
  readonly saveEveryMs: number;
  readonly backlogSize: number;
  readonly syncMs: () => number;
  readonly scheduler: Scheduler;
  readonly network: Network;
  readonly random: SeededRandom;
  readonly mistake: Mistake | undefined;
  readonly nodeAt: (address: Address) => DataNode | undefined;
  readonly watch: () => DataNodeWatch;
}

/** What the checkers are told. */
export interface DataNodeWatch {
  /** REPLICAOF was executed for that connection. */
  replicaOf(node: DataNode, connection: Connection, address: Address | null): void;
  wrote(node: DataNode, writes: readonly number[]): void;
  /** Connections were listed for somebody, or closed by him; these are left. */
  listed(node: DataNode, connection: Connection, left: readonly string[]): void;
  /** A process ended or started with fewer writes than it had executed. */
  lostData(node: DataNode, count: number): void;
}

interface Waiter {
  readonly connection: Connection;
  readonly needed: number;
  readonly offset: number;
  readonly reply: Reply;
}

const OK = "OK";
const MASTERDOWN =
  "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
const READONLY = "READONLY You can't write against a read only replica.";
const LOADING = "LOADING Redis is loading the dataset in memory";
const WHILE_LOADING = new Set(["INFO", "ROLE", "CLIENT", "CONFIG", "SHUTDOWN"]);
const WHILE_STALE = new Set([...WHILE_LOADING, "REPLICAOF", "UNWATCH", "MULTI", "EXEC"]);

export class DataNode implements CommandServer {
  readonly partition: number;
  readonly address: Address;
  readonly process: SimProcess;
  readonly replication: Replication;
  readonly disk: Disk;
  runId = "";
  isDiskWell = true;
  readonly #options: DataNodeOptions;
  readonly #connections = new Set<Connection>();
  /** Connections that were answered to be closed, and are not: fence-off. */
  readonly #killed = new Set<number>();
  #waiters: Waiter[] = [];
  #isLoading = false;
  #pausedUntilMs = 0;
  #held: (() => void)[] = [];

  constructor(options: DataNodeOptions) {
    this.#options = options;
    this.partition = options.partition;
    this.address = options.address;
    this.process = options.process;
    this.disk = new Disk(options.persistence, options.saveEveryMs);
    this.replication = new Replication({
      name: options.process.name,
      port: options.address.port,
      random: options.random,
      retryMs: 1000,
      backlogSize: options.backlogSize,
      syncMs: options.syncMs,
      streamTo: (other) => {
        const target = options.nodeAt({ host: "", port: other.port });
        return options.network.stream(options.process, target?.process ?? options.process);
      },
      run: (life, task) => {
        options.process.run(life, task);
      },
      life: () => options.process.life,
      isUp: () => options.process.isUp,
      isMute: () => options.process.isMute,
      after: (delayMs, task) => {
        const { life } = options.process;
        options.scheduler.after(delayMs, () => {
          options.process.run(life, task);
        });
      },
      at: (address) => options.nodeAt(address)?.replication,
      isLoading: () => this.#isLoading,
      setLoading: (isLoading) => {
        this.#isLoading = isLoading;
      },
      replaced: () => {
        this.disk.replaced(options.scheduler.nowMs, this.replication.snapshot());
      },
      acknowledged: () => {
        this.#wakeWaiters();
      },
      appended: (isBefore) => {
        this.#keep(isBefore);
      },
    });
  }

  get name(): string {
    return this.process.name;
  }

  get isLoading(): boolean {
    return this.#isLoading;
  }

  start(): void {
    const { scheduler, syncMs, random, mistake } = this.#options;
    this.process.start();
    this.runId = `${this.name}#${this.process.life}`;
    const { snapshot, hasHistory } = this.disk.load();
    this.replication.start(snapshot, hasHistory);
    this.disk.replaced(scheduler.nowMs, this.replication.snapshot());
    if (this.disk.persistence === "rdb" && !hasHistory) this.disk.empty();
    this.#connections.clear();
    this.#waiters = [];
    this.#held = [];
    this.#pausedUntilMs = 0;
    this.#isLoading = snapshot.count > 0;
    const { life } = this.process;
    scheduler.after(this.#isLoading ? syncMs() * random.next() : 0, () => {
      this.process.run(life, () => {
        this.#isLoading = false;
        if (mistake === "serves-at-start") this.replication.promote();
      });
    });
  }

  /** kill: the process alone; power: its machine, with what was not fsynced; wipe: and its disk. */
  end(kind: "kill" | "power", isWiped: boolean): void {
    const executed = this.replication.writes.length;
    this.process.stop({ isMute: kind === "power" });
    this.replication.end();
    for (const connection of this.#connections) connection.serverEnded();
    this.#connections.clear();
    if (kind === "power") this.disk.losePower();
    if (isWiped) this.disk.empty();
    const kept = this.disk.load().snapshot.count;
    if (kept < executed) this.#options.watch().lostData(this, executed - kept);
  }

  connected(connection: Connection): void {
    this.#connections.add(connection);
  }

  disconnected(connection: Connection): void {
    this.#connections.delete(connection);
    this.#waiters = this.#waiters.filter((waiter) => waiter.connection !== connection);
  }

  clientEnded(client: SimProcess): void {
    for (const connection of this.#connections) {
      if (connection.client === client) connection.clientEnded();
    }
  }

  execute(connection: Connection, command: readonly string[], reply: Reply): void {
    const [word = ""] = command;
    const name = word.toUpperCase();
    if (this.#isLoading && !WHILE_LOADING.has(name)) {
      reply(new Error(LOADING));
      return;
    }
    const { isMaster, isLinkUp } = this.replication;
    if (!isMaster && !isLinkUp && !WHILE_STALE.has(name)) {
      reply(new Error(MASTERDOWN));
      return;
    }
    this.#dispatch(name, connection, command.slice(1), reply);
  }

  #dispatch(name: string, connection: Connection, args: readonly string[], reply: Reply): void {
    switch (name) {
      case "INFO":
        reply(this.#info());
        break;
      case "ROLE":
        reply([
          this.replication.isMaster ? "master" : "slave",
          this.replication.history.offset,
          [],
        ]);
        break;
      case "PING":
        reply("PONG");
        break;
      case "CONFIG":
        reply(args[0]?.toUpperCase() === "GET" ? [] : OK);
        break;
      case "REPLICAOF":
        this.#replicaOf(connection, args);
        reply(OK);
        break;
      case "CLIENT":
        reply(this.#client(connection, args));
        break;
      case "WRITE":
        this.#write(connection, args, reply);
        break;
      case "PUBLISH":
        // Held as a write is.
        if (this.isWritePaused)
          this.#held.push(() => {
            reply(0);
          });
        else reply(0);
        break;
      case "WAIT":
        this.#wait(connection, Number(args[0]), Number(args[1]), reply);
        break;
      default:
        reply(new Error(`ERR unknown command '${name}' in the simulation`));
    }
  }

  #info(): string {
    const { nodeAt } = this.#options;
    return infoText({
      runId: this.runId,
      isLoading: this.#isLoading,
      isDiskWell: this.isDiskWell,
      replication: this.replication,
      ipOf: (port) => nodeAt({ host: "", port })?.address.host ?? "",
    });
  }

  #replicaOf(connection: Connection, [host = "", port = ""]: readonly string[]): void {
    const { watch } = this.#options;
    const isPromotion = `${host} ${port}`.toUpperCase() === "NO ONE";
    const address = isPromotion ? null : { host, port: Number(port) };
    watch().replicaOf(this, connection, address);
    if (address === null) {
      this.replication.promote();
      return;
    }
    const blocked = this.replication.isMaster ? this.#waiters.splice(0) : [];
    this.replication.follow(address);
    // Whoever waited for a state of affairs that is over is told so, once it is over.
    for (const { reply } of blocked) {
      reply(new Error("UNBLOCKED force unblock from blocking operation, instance state changed"));
    }
  }

  #client(connection: Connection, [word = "", ...args]: readonly string[]) {
    switch (word.toUpperCase()) {
      case "LIST":
        this.#options.watch().listed(this, connection, this.#names());
        return this.#clientList();
      case "KILL": {
        const count = this.#kill(connection, args);
        this.#options.watch().listed(this, connection, this.#names());
        return count;
      }
      case "PAUSE":
        this.#pause(Number(args[0]));
        return OK;
      case "UNPAUSE":
        this.#unpause();
        return OK;
      case "ID":
        return connection.id;
      case "SETNAME":
      case "NO-EVICT":
      case "REPLY":
        return OK;
      default:
        return new Error(`ERR unknown subcommand '${word}' in the simulation`);
    }
  }

  /** Of the connections that stand, or of those that ought to. */
  #names(): string[] {
    return [...this.#connections].filter(({ id }) => !this.#killed.has(id)).map(({ name }) => name);
  }

  #clientList(): string {
    return [...this.#connections]
      .map(({ id, name }) => `id=${id} addr=127.0.0.1:1 name=${name} age=0 flags=N db=0\n`)
      .join("");
  }

  /** CLIENT KILL ID id [ID id ...]. */
  #kill(own: Connection, args: readonly string[]): number | string {
    const ids = new Set(args.filter((_arg, index) => index % 2 === 1).map(Number));
    const doomed = [...this.#connections].filter((each) => ids.has(each.id) && each !== own);
    for (const each of doomed) {
      if (this.#options.mistake === "fence-off") this.#killed.add(each.id);
      else each.kill();
    }
    return doomed.length;
  }

  /** CLIENT PAUSE holds its writes. */
  get isWritePaused(): boolean {
    return this.#options.scheduler.nowMs < this.#pausedUntilMs;
  }

  #pause(pauseMs: number): void {
    const { scheduler } = this.#options;
    const { life } = this.process;
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, scheduler.nowMs + pauseMs);
    scheduler.after(pauseMs, () => {
      this.process.run(life, () => {
        if (scheduler.nowMs >= this.#pausedUntilMs) this.#unpause();
      });
    });
  }

  #unpause(): void {
    this.#pausedUntilMs = 0;
    for (const go of this.#held.splice(0)) go();
  }

  #write(connection: Connection, args: readonly string[], reply: Reply): void {
    if (this.isWritePaused) {
      this.#held.push(() => {
        if (connection.isServerOpen) this.execute(connection, ["WRITE", ...args], reply);
      });
      return;
    }
    if (!this.replication.isMaster) {
      reply(new Error(READONLY));
      return;
    }
    const writes = args.map(Number);
    this.replication.append(writes);
    connection.writtenOffset = this.replication.history.offset;
    this.#options.watch().wrote(this, writes);
    reply(OK);
  }

  #wait(connection: Connection, needed: number, timeoutMs: number, reply: Reply): void {
    if (!this.replication.isMaster) {
      reply(new Error("ERR WAIT cannot be used with replica instances."));
      return;
    }
    const { writtenOffset: offset } = connection;
    const count = (): number => this.replication.holdersOf(offset);
    if (this.#options.mistake === "wait-lies") {
      reply(needed);
      return;
    }
    if (count() >= needed) {
      reply(count());
      return;
    }
    const waiter = { connection, needed, offset, reply };
    this.#waiters.push(waiter);
    const { life } = this.process;
    this.#options.scheduler.after(timeoutMs, () => {
      this.process.run(life, () => {
        if (!this.#waiters.includes(waiter)) return;
        this.#waiters = this.#waiters.filter((other) => other !== waiter);
        reply(count());
      });
    });
  }

  #wakeWaiters(): void {
    if (this.#waiters.length === 0) return;
    const isDone = ({ needed, offset }: Waiter): boolean =>
      this.replication.holdersOf(offset) >= needed;
    const done = this.#waiters.filter(isDone);
    if (done.length === 0) return;
    this.#waiters = this.#waiters.filter((waiter) => !done.includes(waiter));
    for (const { offset, reply } of done) reply(this.replication.holdersOf(offset));
  }

  #keep(isBefore: boolean): void {
    if (isBefore) this.disk.pass(this.#options.scheduler.nowMs, this.replication.snapshot());
    else this.disk.appended(this.replication.writes);
  }
}
