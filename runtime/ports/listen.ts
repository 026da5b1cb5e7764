// listen.ts: starts a server on an address, with one error for a port that is in use.
import { createServer, type ListenOptions, type Server } from "node:net";
import { EXIT, TwineError } from "../core/errors.ts";

export type ListenAddress =
  { readonly host: string; readonly port: number } | { readonly path: string };

/**
 * Resolves when `server` listens on `address`. `what` begins the error's text: "the router", "the monitor's HTTP server".
 * Throws TwineError PORT_TAKEN or PORT_REFUSED. `options` are those of node:net, e.g. reusePort.
 */
export function listen<S extends Server>(
  server: S,
  address: ListenAddress,
  what: string,
  options: ListenOptions = {},
): Promise<S> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException): void => {
      reject(portError(address, what, error));
    };
    server.once("error", failed);
    server.listen({ ...options, ...address }, () => {
      server.off("error", failed);
      resolve(server);
    });
  });
}

/** As listen(), but other processes may share the port (SO_REUSEPORT) where the system supports that. */
export async function listenShared<S extends Server>(
  make: () => S,
  address: ListenAddress,
  what: string,
): Promise<S> {
  const reusePort = "port" in address;
  try {
    return await listen(make(), address, what, { reusePort });
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    if (!reusePort || (code !== "ENOTSUP" && code !== "EINVAL")) throw error;
    return listen(make(), address, what);
  }
}

/** Listens on every address, each with a server from `make`, or on none. Throws as listen() does. */
export async function listenOnAll<S extends Server>(
  addresses: readonly ListenAddress[],
  make: () => S,
  what: string,
  options: ListenOptions = {},
): Promise<S[]> {
  const servers: S[] = [];
  try {
    for (const address of addresses) servers.push(await listen(make(), address, what, options));
  } catch (error) {
    for (const server of servers) server.close();
    throw error;
  }
  return servers;
}

/** Checks that each address is free. Processes that share a port (SO_REUSEPORT) accept others that share it too, so a
    second router on the same port would silently get half of the clients of the first. Call this before sharing a port.
    Throws as listen() does for the first address in use. */
export async function requireFree(
  addresses: readonly ListenAddress[],
  what: string,
): Promise<void> {
  for (const address of addresses) {
    const server = await listen(createServer(), address, what, { exclusive: true });
    await new Promise((resolve) => server.close(resolve));
  }
}

function portError(address: ListenAddress, what: string, error: NodeJS.ErrnoException): TwineError {
  const where = "path" in address ? address.path : `${address.host}:${address.port}`;
  const isTaken = error.code === "EADDRINUSE";
  const why = isTaken ? "another process listens there" : error.message;
  return new TwineError(
    {
      code: isTaken ? "PORT_TAKEN" : "PORT_REFUSED",
      message: `${what} can't listen on ${where}: ${why}`,
      remedy: isTaken
        ? "stop that process, or give the line in twine.conf another port"
        : "give the line in twine.conf a host and a port that this machine has",
    },
    { exitCode: EXIT.failure, cause: error },
  );
}
