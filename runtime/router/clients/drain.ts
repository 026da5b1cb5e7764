// drain.ts: the end of a router, gently.
//
//   nobody new -> each client ends at its first quiet moment -> the busy ones take no more -> what is left is cut off
//   0 ms          0 ms                                          two thirds of drain-for       drain-for
//
// A client that asks and waits is quiet after its next reply. One that always has something on the way is not, so in the
// last third what was taken is still answered, and nothing else is taken.
import type { Clock } from "../../ports/clock.ts";

export interface Drained {
  /** Answers all that comes and ends at a quiet moment. */
  drain(): void;
  /** Answers what was taken and ends. */
  end(): void;
  destroy(): void;
}

/** Resolves when all clients are gone: those that take part in `closed`, at the latest after `drainMs`. */
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
