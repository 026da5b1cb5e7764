// bad-port.ts: a port in front of a server, and what can go wrong between the two.
import { connect, createServer, type Socket } from "node:net";
import { onTestFinished } from "vitest";
import { freePort } from "./port-claims.ts";

export interface BadPort {
  readonly port: number;
  /** For clients of HTTP. */
  readonly url: string;
  /** Keeps what the server says, until release(). */
  readonly hold: () => void;
  readonly release: () => void;
  /** Ends all connections at the client's side alone: the server hears nothing of it, as when a cable is cut. */
  readonly cut: () => void;
  /** Ends a connection after so many bytes from the client (up) or the server (down), the next `times` connections that
      get so far; then all is well again. */
  readonly cutAfter: (direction: "up" | "down", afterBytes: number, times: number) => void;
  /** Lets the next request that begins like this through, and ends its connection instead of the answer. */
  readonly loseAnswerTo: (start: RegExp) => void;
  /** Passes nothing on any more, and closes nothing. */
  readonly stall: () => void;
  /** How often cutAfter and loseAnswerTo have ended a connection. */
  readonly cuts: () => number;
}

/** What goes wrong with the connections of one port. */
interface Faults {
  direction: "up" | "down";
  afterBytes: number;
  times: number;
  lost: RegExp | undefined;
  isStalled: boolean;
  cuts: number;
}

/** Leads to the server on `port` of this machine. What one side ends is ended at the other. */
export async function badPort(port: number): Promise<BadPort> {
  const faults: Faults = {
    ...{ direction: "up", afterBytes: 0, times: 0, lost: undefined, isStalled: false, cuts: 0 },
  };
  const pairs = new Set<Pair>();
  const server = createServer((client) => {
    const pair: Pair = { client, node: connect({ host: "127.0.0.1", port, noDelay: true }) };
    pairs.add(pair);
    join(pair, faults, () => pairs.delete(pair));
  });
  const own = await freePort();
  await new Promise<void>((resolve) => server.listen(own, "127.0.0.1", resolve));
  const severed: Pair[] = [];
  onTestFinished(() => {
    for (const { client, node } of [...pairs, ...severed]) {
      client.destroy();
      node.destroy();
    }
    server.close();
  });
  return {
    port: own,
    url: `http://127.0.0.1:${own}`,
    hold: () => {
      for (const { node } of pairs) node.pause();
    },
    release: () => {
      for (const { node } of pairs) node.resume();
    },
    cut: () => {
      for (const pair of pairs) {
        pairs.delete(pair);
        severed.push(pair);
        pair.client.removeAllListeners("close");
        pair.client.destroy();
      }
    },
    cutAfter: (direction, afterBytes, times) => {
      Object.assign(faults, { direction, afterBytes, times });
    },
    loseAnswerTo: (start) => {
      faults.lost = start;
    },
    stall: () => {
      faults.isStalled = true;
    },
    cuts: () => faults.cuts,
  };
}

interface Pair {
  readonly client: Socket;
  readonly node: Socket;
}

function join({ client, node }: Pair, faults: Faults, onEnd: () => void): void {
  const end = (): void => {
    client.destroy();
    node.destroy();
    onEnd();
  };
  const fail = (): void => {
    faults.cuts++;
    end();
  };
  let isLost = false;
  const pass = (from: Socket, to: Socket, direction: "up" | "down"): void => {
    let passed = 0;
    from.on("data", (chunk) => {
      if (faults.isStalled) return;
      if (direction === "up" && faults.lost?.test(chunk.toString("latin1")) === true) {
        faults.lost = undefined;
        isLost = true;
      } else if (direction === "down" && isLost) {
        fail();
        return;
      }
      passed += chunk.length;
      if (faults.times > 0 && faults.direction === direction && passed >= faults.afterBytes) {
        faults.times--;
        fail();
        return;
      }
      if (to.destroyed || to.write(chunk)) return;
      from.pause();
      to.once("drain", () => from.resume());
    });
  };
  pass(client, node, "up");
  pass(node, client, "down");
  for (const socket of [client, node]) socket.on("error", end).on("close", end);
}
