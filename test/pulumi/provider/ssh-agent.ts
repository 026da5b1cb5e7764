// ssh-agent.ts: HTTP to a Docker engine through ssh: every connection is a process of ssh whose two ends are the stream.
import { spawn } from "node:child_process";
import { Agent } from "node:http";
import { Duplex } from "node:stream";

/** For `ssh://user@host:port`; `options` are those of the ssh program. */
export class SshAgent extends Agent {
  readonly #command: readonly string[];

  constructor(url: URL, options: readonly string[]) {
    super();
    const user = url.username === "" ? [] : ["-l", url.username];
    const port = url.port === "" ? [] : ["-p", url.port];
    const dial = ["docker", "system", "dial-stdio"];
    this.#command = [...options, "-T", ...user, ...port, url.hostname, "--", ...dial];
  }

  override createConnection(): Duplex {
    const child = spawn("ssh", this.#command, { stdio: ["pipe", "pipe", "pipe"] });
    const stream = Duplex.from({ writable: child.stdin, readable: child.stdout });
    const said: Buffer[] = [];
    child.stderr.on("data", (chunk: Buffer) => said.push(chunk));
    child.once("error", (error) => stream.destroy(error));
    child.once("close", (code) => {
      const words = Buffer.concat(said).toString().trim();
      if (code !== 0 && code !== null)
        stream.destroy(new Error(`ssh ended with ${code}: ${words}`));
    });
    stream.once("close", () => child.kill());
    return stream;
  }
}
