// request.ts: what tools ask of the alpha through the status nodes. Pure.
// A tool writes {state: "asked"} under a fresh id on every status node that it reaches; the alpha, which reads all of
// them, does it once and replaces the entry with its answer.

export interface AcceptLossRequest {
  readonly kind: "accept-loss";
  /** The data node that becomes its partition's master, whatever the others may have held. */
  readonly node: string;
}

export interface HandoverRequest {
  readonly kind: "handover";
  /** The data node that is about to stop: another one of its partition is to be master before that. */
  readonly node: string;
}

export interface PromoteToRequest {
  readonly kind: "promote-to";
  /** The data node that is to be its partition's master, without the loss of anything. */
  readonly node: string;
}

export interface ForgetRescueRequest {
  readonly kind: "forget-rescue";
  /** The data node whose rescued data somebody has seen to: the status tells of it no more. The file stays. */
  readonly node: string;
}

export type RequestBody =
  AcceptLossRequest | HandoverRequest | PromoteToRequest | ForgetRescueRequest;

export interface Request {
  readonly id: string;
  readonly body: RequestBody;
  readonly state: "asked" | "done" | "refused";
  /** Why it was refused, or what was done; empty while asked. */
  readonly message: string;
}
