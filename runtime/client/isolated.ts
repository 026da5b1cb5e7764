// isolated.ts: what the client of isolated() inherits, and whether a call is made inside a function of isolated().
import { AsyncLocalStorage } from "node:async_hooks";
import type { Redis } from "ioredis";
import { TwineError } from "../core/errors.ts";

/** A running function of isolated(). */
interface Isolation {
  readonly client: Redis;
  isOpen: boolean;
}

/** Also finds calls deep inside the function. */
const isolations = new AsyncLocalStorage<Isolation>();

export async function runIsolated<T>(client: Redis, task: () => Promise<T>): Promise<T> {
  const isolation: Isolation = { client, isOpen: true };
  try {
    return await isolations.run(isolation, task);
  } finally {
    isolation.isOpen = false;
  }
}

/** Whether the caller runs inside a function that was given to this client's isolated(). */
export function isWithinIsolated(client: Redis): boolean {
  const isolation = isolations.getStore();
  return isolation?.client === client && isolation.isOpen;
}

/** Copies the commands of defineCommand from `from` to `to`. */
export function inheritScripts(from: Redis, to: Redis): void {
  for (const [name, script] of Object.entries(from["scriptsSet"])) {
    Reflect.set(to["scriptsSet"], name, script);
    for (const method of [name, `${name}Buffer`])
      Reflect.set(to, method, Reflect.get(from, method));
  }
}

export function isolationOpenError(): TwineError {
  return new TwineError({
    code: "ISOLATION_OPEN",
    message: "quit() inside of the function that isolated() was given would wait for its own end",
    remedy: "call it when isolated() has resolved; disconnect() ends at once",
  });
}
