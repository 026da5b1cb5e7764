// stepwise-port.ts: a port in front of a redis-server that lets commands through one at a time, so that a test can do
// something at an exact place of a pipeline.
import { connect, createServer, type Socket } from "node:net";
import { onTestFinished } from "vitest";
import { RequestSplitter } from "../../runtime/resp/request-splitter.ts";
import { freePort } from "./port-claims.ts";

/**
 * A port in front of a server that lets connections through command by command: each waits for the reply to the one
 * before, and `between` is called at each step with the command's name.
 */
export async function stepwisePort(
  port: number,
  between: (name: string) => Promise<void>,
): Promise<number> {
  const sockets: Socket[] = [];
  const server = createServer((client) => {
    const node = connect({ host: "127.0.0.1", port, noDelay: true });
    sockets.push(client, node);
    const splitter = new RequestSplitter();
    let answered = (): void => undefined;
    let turn = Promise.resolve();
    const pass = async (command: Buffer, name: string): Promise<void> => {
      await between(name);
      const answer = new Promise<void>((resolve) => (answered = resolve));
      node.write(command);
      await answer;
    };
    client.on("data", (chunk) => {
      splitter.push(chunk);
      for (let request = splitter.next(); request !== undefined; request = splitter.next()) {
        const [command, name] = [Buffer.from(request.raw), String(request.args[0])];
        turn = turn.then(() => pass(command, name));
      }
    });
    node.on("data", (chunk) => {
      client.write(chunk);
      answered();
    });
    for (const socket of [client, node]) socket.on("error", () => undefined);
  });
  const own = await freePort();
  await new Promise<void>((resolve) => server.listen(own, "127.0.0.1", resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return own;
}
