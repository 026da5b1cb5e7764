// connection.ts: one client's connection to one simulated server, as the port `OpenLink` sees it.
//
//   client process --call--> in order, behind cuts too --> server process --reply--> in order --> client
//
// As with TCP: a server that died resets what it held, unless its machine is gone; a paused one accepts and says
// nothing; what a client sent before it closed is still executed; what the server closed is not.
import type {
  RedisReply,
  OpenLink,
  RedisAddress,
  RedisLink,
} from "../../runtime/ports/redis-link.ts";
import { LinkError } from "../../runtime/ports/redis-link.ts";
import type { Network, Stream } from "./network.ts";
import type { SimProcess } from "./sim-process.ts";

export type Reply = (value: RedisReply) => void;

/** A simulated server: it answers each command by calling `reply` once, now or later. */
export interface CommandServer {
  readonly process: SimProcess;
  execute(connection: Connection, command: readonly string[], reply: Reply): void;
  connected(connection: Connection): void;
  disconnected(connection: Connection): void;
}

interface Call {
  readonly resolve: (value: RedisReply) => void;
  readonly reject: (cause: Error) => void;
}

const CLOSED = "Connection is closed.";

/** Both ends of a connection. */
export class Connection {
  readonly id: number;
  /** As CLIENT SETNAME said. */
  readonly name: string;
  readonly client: SimProcess;
  readonly server: CommandServer;
  /** Offset of the last write on this connection, for WAIT. */
  writtenOffset = 0;
  readonly #network: Network;
  readonly #clientLife: number;
  readonly #serverLife: number;
  readonly #up: Stream;
  readonly #down: Stream;
  readonly #calls: Call[] = [];
  readonly #closers: ((cause: Error) => void)[] = [];
  readonly #commands: (readonly string[])[] = [];
  #isClientOpen = true;
  #isServerOpen = true;
  #isBusy = false;

  constructor(
    id: number,
    name: string,
    client: SimProcess,
    clientLife: number,
    server: CommandServer,
    network: Network,
  ) {
    this.id = id;
    this.name = name;
    this.client = client;
    this.server = server;
    this.#network = network;
    this.#clientLife = clientLife;
    this.#serverLife = server.process.life;
    this.#up = network.stream(client, server.process);
    this.#down = network.stream(server.process, client);
  }

  get isClientOpen(): boolean {
    return this.#isClientOpen;
  }

  get isServerOpen(): boolean {
    return this.#isServerOpen && this.server.process.isAlive(this.#serverLife);
  }

  call(command: readonly string[]): Promise<RedisReply> {
    if (!this.#isClientOpen) return Promise.reject(new Error(CLOSED));
    this.#network.announce(this.client, this.server.process, command[0] ?? "");
    return new Promise((resolve, reject) => {
      this.#calls.push({ resolve, reject });
      this.#up.send(() => {
        this.#arrive(command);
      });
    });
  }

  onClose(task: (cause: Error) => void): void {
    this.#closers.push(task);
  }

  /** By the client. What it sent before is still executed. */
  close(): void {
    if (!this.#isClientOpen) return;
    this.#loseClientSide(new Error(CLOSED));
    this.#up.send(() => {
      this.server.process.run(this.#serverLife, () => {
        this.#loseServerSide();
      });
    });
  }

  /** By the server: what arrives from now on is not executed. */
  kill(): void {
    this.#loseServerSide();
    this.#sayClosed();
  }

  /** The server's process has ended. */
  serverEnded(): void {
    this.#isServerOpen = false;
    if (!this.server.process.isMute) this.#sayClosed();
  }

  /** The client's process has ended. */
  clientEnded(): void {
    this.#isClientOpen = false;
    if (this.client.isMute) return;
    this.#up.send(() => {
      this.server.process.run(this.#serverLife, () => {
        this.#loseServerSide();
      });
    });
  }

  #arrive(command: readonly string[]): void {
    const { process } = this.server;
    if (!process.isAlive(this.#serverLife)) {
      // Whoever runs there now, or its kernel, knows nothing of this connection.
      if (!process.isMute) this.#sayClosed();
      return;
    }
    process.run(this.#serverLife, () => {
      if (!this.#isServerOpen) return;
      this.#commands.push(command);
      this.#serve();
    });
  }

  #serve(): void {
    if (this.#isBusy) return;
    const command = this.#commands.shift();
    if (command === undefined) return;
    this.#isBusy = true;
    let isReplied = false;
    this.server.execute(this, command, (value) => {
      if (isReplied) return;
      isReplied = true;
      this.#isBusy = false;
      if (!this.isServerOpen) return;
      this.#down.send(() => {
        this.#atClient(() => {
          this.#take(value);
        });
      });
      this.#serve();
    });
  }

  #take(value: RedisReply): void {
    const call = this.#calls.shift();
    if (call === undefined) return;
    if (value instanceof Error) {
      // As ioredis names what the server itself said.
      value.name = "ReplyError";
      call.reject(value);
    } else call.resolve(value);
  }

  #sayClosed(): void {
    this.#down.send(() => {
      this.#atClient(() => {
        this.#loseClientSide(new Error("read ECONNRESET"));
      });
    });
  }

  #atClient(task: () => void): void {
    this.client.run(this.#clientLife, task);
  }

  #loseClientSide(cause: Error): void {
    if (!this.#isClientOpen) return;
    this.#isClientOpen = false;
    for (const { reject } of this.#calls.splice(0)) reject(cause);
    for (const closer of this.#closers.splice(0)) closer(cause);
  }

  #loseServerSide(): void {
    if (!this.#isServerOpen) return;
    this.#isServerOpen = false;
    this.#commands.length = 0;
    this.server.disconnected(this);
  }
}

export interface LinksOptions {
  readonly network: Network;
  readonly serverAt: (host: string, port: number) => CommandServer | undefined;
  readonly nextId: () => number;
}

/** Opens links from `client` in its present life. Rejects as production's does: refused, or timeout. */
export function openLinkFrom(client: SimProcess, options: LinksOptions): OpenLink {
  const { life } = client;
  const clock = client.clock();
  return (address, { clientName = "", connectTimeoutMs, commandTimeoutMs }) =>
    new Promise((resolve, reject) => {
      const opening = new Opening(client, life, address, clientName, options);
      const forget = clock.after(connectTimeoutMs, () => {
        opening.abandon();
        reject(failure(address, "no-answer", "connecting timed out"));
      });
      opening.start(
        (connection) => {
          forget();
          resolve(linkOver(connection, clock, commandTimeoutMs));
        },
        () => {
          forget();
          reject(failure(address, "refused", "connect ECONNREFUSED"));
        },
      );
    });
}

/** From the first packet until the server has heard the name. */
class Opening {
  readonly #client: SimProcess;
  readonly #life: number;
  readonly #address: RedisAddress;
  readonly #name: string;
  readonly #options: LinksOptions;
  #isAbandoned = false;
  #connection: Connection | undefined;

  constructor(
    client: SimProcess,
    life: number,
    address: RedisAddress,
    name: string,
    options: LinksOptions,
  ) {
    this.#client = client;
    this.#life = life;
    this.#address = address;
    this.#name = name;
    this.#options = options;
  }

  abandon(): void {
    this.#isAbandoned = true;
    this.#connection?.close();
  }

  start(opened: (connection: Connection) => void, refused: () => void): void {
    const { network, serverAt } = this.#options;
    const server = serverAt(this.#address.host, this.#address.port);
    if (server === undefined) {
      refused();
      return;
    }
    network.whenReached(this.#client, server.process, () => {
      if (!this.#isAbandoned) this.#knock(server, opened, refused);
    });
  }

  #knock(
    server: CommandServer,
    opened: (connection: Connection) => void,
    refused: () => void,
  ): void {
    const { network, nextId } = this.#options;
    const { process } = server;
    network.stream(this.#client, process).send(() => {
      if (process.isMute) return;
      if (!process.isUp) {
        network.stream(process, this.#client).send(() => {
          this.#client.run(this.#life, refused);
        });
        return;
      }
      process.run(process.life, () => {
        const connection = new Connection(
          nextId(),
          this.#name,
          this.#client,
          this.#life,
          server,
          network,
        );
        this.#connection = connection;
        server.connected(connection);
        network.stream(process, this.#client).send(() => {
          this.#client.run(this.#life, () => {
            if (this.#isAbandoned) connection.close();
            else opened(connection);
          });
        });
      });
    });
  }
}

function linkOver(
  connection: Connection,
  clock: ReturnType<SimProcess["clock"]>,
  commandTimeoutMs: number | undefined,
): RedisLink {
  return {
    call: (command, ...args) => {
      const answer = connection.call([command, ...args.map(String)]);
      if (commandTimeoutMs === undefined) return answer;
      return new Promise((resolve, reject) => {
        const forget = clock.after(commandTimeoutMs, () => {
          reject(new Error("Command timed out"));
        });
        answer.then(resolve, reject).finally(forget);
      });
    },
    subscribe: () => Promise.reject(new Error("simulated followers are told by the status node")),
    onClose: (task) => {
      connection.onClose(task);
    },
    close: () => {
      connection.close();
    },
    get isOpen() {
      return connection.isClientOpen;
    },
  };
}

function failure(
  { host, port }: RedisAddress,
  kind: "refused" | "no-answer",
  text: string,
): LinkError {
  return new LinkError(text, kind, { address: `${host}:${port}` });
}
