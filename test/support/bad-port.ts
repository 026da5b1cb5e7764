// bad-port.ts: a port in front of a server, and what can go wrong between the two.
import { connect, createServer, type Socket } from "node:net";
import { onTestFinished } from "vitest";
import { freePort } from "./redis-server.ts";

export interface BadPort {
  readonly port: number;
  /** Keeps what the server says, until release(). */
  readonly hold: () => void;
  readonly release: () => void;
  /** Ends all connections at the client's side alone: the server hears nothing of it, as when a cable is cut. */
  readonly cut: () => void;
}

/** Leads to the server on `port` of this machine. */
export async function badPort(port: number): Promise<BadPort> {
  const sockets: Socket[] = [];
  const nodes: Socket[] = [];
  const clients: Socket[] = [];
  const server = createServer((client) => {
    const node = connect({ host: "127.0.0.1", port, noDelay: true });
    sockets.push(client, node);
    nodes.push(node);
    clients.push(client);
    client.on("data", (chunk) => node.write(chunk));
    node.on("data", (chunk) => client.write(chunk));
    for (const socket of [client, node]) socket.on("error", () => undefined);
  });
  const own = await freePort();
  await new Promise<void>((resolve) => server.listen(own, "127.0.0.1", resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return {
    port: own,
    hold: () => {
      for (const node of nodes) node.pause();
    },
    release: () => {
      for (const node of nodes) node.resume();
    },
    cut: () => {
      for (const client of clients.splice(0)) client.destroy();
    },
  };
}
