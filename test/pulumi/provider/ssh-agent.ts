// ssh-agent.ts: HTTP to a Docker engine through ssh: every connection is a process of ssh whose two ends are the stream.
import { Agent } from "node:http";
import type { Duplex } from "node:stream";
import { connectThrough } from "../../../infra/docker/program-connection.ts";

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
    // The words of the real provider, which are those of docker/cli's connhelper.
    return connectThrough(
      "ssh",
      this.#command,
      ({ endedWith, said }) =>
        `command [ssh ${this.#command.join(" ")}] has exited with exit status ${endedWith}, please make sure the URL is ` +
        `valid, and Docker 18.09 or later is installed on the remote host: stderr=${said}`,
    );
  }
}
