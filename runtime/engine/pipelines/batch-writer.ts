// batch-writer.ts: writes the requests gathered for one connection in one piece, with the pipeline's own commands: WAIT after a
// batch with a write (ack-replicas), and ROLE.
import { waitCommand } from "../../route/replies/acknowledge.ts";
import type { NodeCounters } from "../stats/counters.ts";
import type { BackendConnection } from "./backend-connection.ts";
import { ASKS_ROLE, type InFlight } from "./in-flight.ts";
import type { PipelineContext } from "./pipeline-context.ts";
import { ROLE } from "./script-errors.ts";
import type { SilenceWatch } from "./silence-watch.ts";

export class BatchWriter {
  readonly #context: PipelineContext;
  readonly #wire: InFlight;
  readonly #silence: SilenceWatch;

  constructor(context: PipelineContext, wire: InFlight, silence: SilenceWatch) {
    this.#context = context;
    this.#wire = wire;
    this.#silence = silence;
  }

  write(connection: BackendConnection, counters: NodeCounters): void {
    const { ackReplicas, ackTimeoutMs, tick } = this.#context;
    if (ackReplicas > 0) this.#wire.barrier(waitCommand(ackReplicas, ackTimeoutMs), tick.nowMs);
    if (this.#wire.sentCount === 0) this.#silence.heardAtMs = tick.nowMs;
    this.#silence.watch();
    counters.requests += this.#wire.unsentCount;
    this.#wire.drainTo(connection);
  }

  /** Sends ROLE at once. */
  askRole(connection: BackendConnection): void {
    this.#wire.putControl(ROLE, ASKS_ROLE, this.#context.tick.nowMs);
    this.#silence.watch();
    this.#wire.drainTo(connection);
  }
}
