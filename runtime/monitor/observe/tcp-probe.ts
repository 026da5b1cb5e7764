// tcp-probe.ts: whether a process listens on a port. For routers, which are up when they accept a connection.
import { connect } from "node:net";

export type Probe = (host: string, port: number, timeoutMs: number) => Promise<boolean>;

/** True when a TCP connection opens; false when it is refused or takes longer than `timeoutMs`. Never rejects. */
export const probeTcp: Probe = (host, port, timeoutMs) =>
  new Promise((resolve) => {
    const socket = connect({ host, port, timeout: timeoutMs });
    const end = (isUp: boolean): void => {
      socket.destroy();
      resolve(isUp);
    };
    socket.once("timeout", () => {
      end(false);
    });
    socket.once("connect", () => {
      end(true);
    });
    socket.once("error", () => {
      end(false);
    });
  });
