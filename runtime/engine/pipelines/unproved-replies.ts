// unproved-replies.ts: keeps the replies of a batch until its WAIT has a reply (ack-replicas): only then is it known that
// enough replicas have the writes. Replies of reads are kept too: a read may have seen a write that no replica has yet.
import { underreplicated } from "../../route/replies/acknowledge.ts";
import { isError } from "../../route/replies/split.ts";
import type { BufferedRequest } from "./in-flight.ts";

export class UnprovedReplies {
  #replies: { readonly request: BufferedRequest; readonly raw: Buffer }[] = [];

  add(request: BufferedRequest, raw: Buffer): void {
    this.#replies.push({ request, raw });
  }

  /** The WAIT's reply has arrived: delivers the replies; those of writes that too few replicas have become errors. */
  prove(count: number, ackReplicas: number): void {
    const proved = this.#replies;
    this.#replies = [];
    for (const { request, raw } of proved) {
      const isHeld = count >= ackReplicas || request.isRead || isError(raw);
      const reply = isHeld ? raw : underreplicated(count, ackReplicas);
      request.sink.take(request.tag, reply, 0, reply.length);
    }
  }

  /** The connection broke before: removes and returns the requests, whose outcome is unknown. */
  takeAll(): BufferedRequest[] {
    const requests = this.#replies.map(({ request }) => request);
    this.#replies = [];
    return requests;
  }
}
