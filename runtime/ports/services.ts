// services.ts: runs a program's services: they start in order and stop in reverse order.
//
//   start a --> start b --> start c --fails--> stop b --> stop a --> the failure of c is thrown
import type { Clock } from "./clock.ts";

export interface Service {
  readonly name: string;
  start(): Promise<void>;
  /** Called only after start() has resolved, and once. */
  stop(): Promise<void>;
}

/** A service with a value that other services use. */
export interface Provider<T> extends Service {
  /** The result of start(). Only services later in the list may use it. */
  readonly running: T;
}

export function provide<T>(
  name: string,
  start: () => T | Promise<T>,
  stop: (running: T) => unknown,
): Provider<T> {
  let made: { readonly running: T } | undefined;
  return {
    name,
    get running(): T {
      if (made === undefined) throw new Error(`the service ${name} is used before it has started`);
      return made.running;
    },
    start: async () => {
      made = { running: await start() };
    },
    stop: async () => {
      if (made !== undefined) await stop(made.running);
    },
  };
}

export interface RunServicesOptions {
  readonly clock: Clock;
  readonly services: readonly Service[];
  /** Resolves when the program must end; this may happen while services are still starting. */
  readonly ended: Promise<void>;
  /** Called when all services run. */
  readonly onStarted: () => void;
  /** Called when a service has stopped; `error` if it failed, or took longer than `stopMsMax`. The others are stopped
      anyway. */
  readonly onStopped: (service: string, error?: Error) => void;
  /** The timeout for stopping one service. */
  readonly stopMsMax: number;
}

/**
 * Runs the services until `ended` resolves. Each service that has started is stopped in any case. Rethrows the error of a
 * failing start() after everything has stopped.
 */
export async function runServices(options: RunServicesOptions): Promise<void> {
  const started: Service[] = [];
  let isEnded = false;
  const ended = options.ended.then(() => {
    isEnded = true;
  });
  // A function, because the value changes during an await.
  const mayGoOn = (): boolean => !isEnded;
  try {
    for (const service of options.services) {
      await service.start();
      started.push(service);
      if (!mayGoOn()) return;
    }
    options.onStarted();
    await ended;
  } finally {
    for (const service of started.reverse()) {
      const outcome = await stopWithin(service, options).then(
        () => [],
        (error: unknown) => [error instanceof Error ? error : new Error(String(error))],
      );
      options.onStopped(service.name, ...outcome);
    }
  }
}

async function stopWithin(service: Service, options: RunServicesOptions): Promise<void> {
  const { clock, stopMsMax } = options;
  let cancel: () => void = () => undefined;
  const tooLong = new Promise<never>((_resolve, reject) => {
    cancel = clock.after(stopMsMax, () => {
      reject(new Error(`did not stop within ${stopMsMax} ms`));
    });
  });
  try {
    await Promise.race([service.stop(), tooLong]);
  } finally {
    cancel();
  }
}
