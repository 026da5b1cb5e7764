// connect-from.ts: loaded into the monitors and routers of an environment before their own code (node --import): they open
// their connections to loopback addresses from TWINE_ENV_SOURCE, as a host of its own would. See source-address.ts.
import { Socket } from "node:net";

type Connect = (this: Socket, ...args: unknown[]) => Socket;

const address = process.env["TWINE_ENV_SOURCE"];
if (address !== undefined) {
  // net.connect, tls.connect, http and fetch all come to this method.
  const connect = Reflect.get(Socket.prototype, "connect") as Connect;
  const connectFrom: Connect = function (...args) {
    const [first, ...rest] = args;
    if (Array.isArray(first)) {
      // net.connect has put its arguments in order already: [options, callback], in an array that it marked.
      first[0] = from(address, first[0]);
      return connect.call(this, first, ...rest);
    }
    return connect.call(this, from(address, first), ...rest);
  };
  Socket.prototype.connect = connectFrom;
}

function from(localAddress: string, options: unknown): unknown {
  if (typeof options !== "object" || options === null || !("host" in options)) return options;
  const { host } = options;
  if (typeof host !== "string" || !host.startsWith("127.")) return options;
  return { localAddress, ...options };
}
