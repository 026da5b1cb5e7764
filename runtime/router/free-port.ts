// free-port.ts: whether a port is nobody's. Processes that share a port (SO_REUSEPORT) don't refuse others that share it
// too, so a second router on the same port would quietly take half of the clients of the first: who is about to share
// a port looks first whether it could have it alone.
import { createServer } from "node:net";
import { cannotListen, type ListenAddress } from "./server.ts";

/** Throws TwineError ROUTER_PORT_TAKEN or ROUTER_CANNOT_LISTEN for the first address that can't be had. */
export async function demandFree(addresses: readonly ListenAddress[]): Promise<void> {
  for (const address of addresses) {
    await new Promise<void>((resolve, reject) => {
      const server = createServer();
      server.once("error", (error: NodeJS.ErrnoException) => {
        reject(cannotListen(address, error));
      });
      server.listen({ ...address, exclusive: true }, () => {
        server.close(() => {
          resolve();
        });
      });
    });
  }
}
