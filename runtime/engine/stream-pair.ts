// stream-pair.ts: the two ends of a connection inside this process: one for the engine, one for the program.
import { duplexPair, type Duplex } from "node:stream";

export interface StreamPair {
  /** For Engine.attach(). */
  readonly engineEnd: Duplex;
  readonly programEnd: Duplex;
}

/** Like the two ends of a socket: what one end writes, the other reads; if one is destroyed, so is the other. The
    program's end closes itself when the engine ends the session, after the last reply. */
export function streamPair(): StreamPair {
  const [engineEnd, programEnd] = duplexPair();
  // duplexPair does not destroy the other end by itself.
  engineEnd.once("close", () => programEnd.destroy());
  programEnd.once("close", () => engineEnd.destroy());
  programEnd.allowHalfOpen = false;
  return { engineEnd, programEnd };
}
