// drain.ts: drains the clients of a router before it ends.
//
//   no new clients -> each client is closed when quiet -> busy ones: no new commands -> the rest is disconnected
//   0 ms              0 ms                              two thirds of drain-for         drain-for
//
// A client that awaits each reply is quiet after its next reply. A client that always has commands in flight is not. In
// the last third, it gets its outstanding replies, and its new commands are not executed.
import type { Clock } from "../../ports/clock.ts";

export interface Drained {
  /** Executes commands until a quiet moment, then closes. */
  drain(): void;
  /** Sends the outstanding replies, then closes. */
  end(): void;
  destroy(): void;
}

/** Resolves when `closed` resolves, which covers all clients, at the latest after `drainMs`. */
export async function drainClients(
  clients: Iterable<Drained>,
  closed: Promise<unknown>,
  drainMs: number,
  clock: Clock,
): Promise<void> {
  const all = (action: (client: Drained) => void) => (): void => {
    for (const client of [...clients]) action(client);
  };
  all((client) => {
    client.drain();
  })();
  const timers = [
    clock.after(
      (drainMs * 2) / 3,
      all((client) => {
        client.end();
      }),
    ),
    clock.after(
      drainMs,
      all((client) => {
        client.destroy();
      }),
    ),
  ];
  await closed;
  for (const end of timers) end();
}
