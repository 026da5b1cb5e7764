// old-master.ts: what twine-follow asks of one server of the other system.
import type { HistoryMark } from "../../core/view.ts";
import { TwineError } from "../../core/errors.ts";
import { errorText } from "../../core/error-text.ts";
import { NodeError } from "../../replication/node-error.ts";
import { infoFields } from "../../resp/info-fields.ts";
import { textOf, type RespValue } from "../../resp/value.ts";
import { addressText, type ImportedNode } from "../import/imported.ts";
import { openSource, type SourceOptions, type SourceSocket } from "../import/source-link.ts";

export interface OldState extends HistoryMark {
  readonly isMaster: boolean;
  /** HOST:PORT that it follows; empty for a master. */
  readonly follows: string;
}

export interface OldIdentity {
  /** Of this start of the server. */
  readonly runId: string;
  /** standalone, cluster or sentinel. */
  readonly mode: string;
}

export class OldMaster {
  readonly address: string;
  readonly #socket: SourceSocket;

  private constructor(node: ImportedNode, socket: SourceSocket) {
    this.address = addressText(node);
    this.#socket = socket;
  }

  /** Throws OLD_UNREACHABLE. */
  static async open(node: ImportedNode, options: SourceOptions): Promise<OldMaster> {
    const opening = options.open?.(node) ?? openSource(node, options);
    const socket = await opening.catch((cause: unknown) => {
      throw unreachable(addressText(node), cause);
    });
    const old = new OldMaster(node, socket);
    try {
      // A server that wants a password says so only now.
      await old.state();
      return old;
    } catch (error) {
      old.close();
      throw error;
    }
  }

  async state(): Promise<OldState> {
    const fields = infoFields(textOf(await this.#call("INFO", "replication")) ?? "");
    const isMaster = fields.get("role") === "master";
    return {
      isMaster,
      follows: isMaster
        ? ""
        : `${fields.get("master_host") ?? ""}:${fields.get("master_port") ?? ""}`,
      replicationId: fields.get("master_replid") ?? "",
      offset: Number(fields.get("master_repl_offset") ?? 0),
    };
  }

  async identity(): Promise<OldIdentity> {
    const fields = infoFields(textOf(await this.#call("INFO", "server")) ?? "");
    return { runId: fields.get("run_id") ?? "", mode: fields.get("redis_mode") ?? "" };
  }

  /** Names of the Sentinels' connections. */
  async sentinelClients(): Promise<number> {
    const list = textOf(await this.#call("CLIENT", "LIST")) ?? "";
    return list.split("\n").filter((line) => / name=sentinel-\S+-cmd/.test(line)).length;
  }

  async pauseWrites(forMs: number): Promise<void> {
    await this.#call("CLIENT", "PAUSE", String(forMs), "WRITE");
  }

  async unpause(): Promise<void> {
    await this.#call("CLIENT", "UNPAUSE");
  }

  /** With which user and password it is to show itself to its master; undefined: with none. */
  async authenticateAs(username: string | undefined, password: string | undefined): Promise<void> {
    await this.#call("CONFIG", "SET", "masteruser", username ?? "");
    await this.#call("CONFIG", "SET", "masterauth", password ?? "");
  }

  /** Answers why its role was not written into its configuration; undefined: it was. */
  async follow({ host, port }: ImportedNode): Promise<string | undefined> {
    await this.#call("REPLICAOF", host, String(port));
    return this.#keepRole();
  }

  /** Master again; `password`: its system's, with which it would follow another one of that. */
  async serve(password: string | undefined): Promise<void> {
    await this.#call("REPLICAOF", "NO", "ONE");
    await this.authenticateAs(undefined, password);
    await this.#keepRole();
  }

  /**
   * Else one that is restarted would have its earlier role: a master again, which takes writes. Without a file it can't. One
   * that dies before it has answered may have kept the earlier role: throws OLD_UNREACHABLE.
   */
  async #keepRole(): Promise<string | undefined> {
    try {
      await this.#socket.call("CONFIG", "REWRITE");
      return undefined;
    } catch (error) {
      const isAnswer =
        error instanceof NodeError && (error.kind === "refused" || error.kind === "denied");
      if (isAnswer) return error.message;
      throw unreachable(this.address, error);
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  async #call(...words: readonly string[]): Promise<RespValue> {
    try {
      return await this.#socket.call(...words);
    } catch (cause) {
      throw unreachable(this.address, cause);
    }
  }
}

function unreachable(address: string, cause: unknown): TwineError {
  return new TwineError(
    {
      code: "OLD_UNREACHABLE",
      message: `${address} can't be asked: ${errorText(cause)}`,
      remedy:
        "start it, or let TWINE_SOURCE_PASSWORD_FILE name the file with its password; then run the same command again",
    },
    { cause },
  );
}
