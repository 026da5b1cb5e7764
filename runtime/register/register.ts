// register.ts: the status register as types: its requests, replies and guarantees. proposer.ts implements the proposer.
//
//   proposer (a monitor)        acceptors (the status nodes)
//        | prepare(ballot)   ->  promise: refuses lower ballots from now on; returns its last accepted value
//        | accept(ballot, …) ->  stores the value, promises the proposer's next ballot in the same step
//   a majority of accepts under one ballot = chosen. One register, one value: the view (JSON) and a heartbeat.
//
// CASPaxos, Rystsov 2018 (https://arxiv.org/abs/1802.07000), with the one-round-trip optimisation of its section 2.2.
import type { NodeFailure } from "../core/failure.ts";

/** Ordered by `count`, then by `proposer` (a monitor's name, plain string order). */
export interface Ballot {
  readonly count: number;
  readonly proposer: string;
}

/** The register's value. `body` is null before the first one. */
export interface RegisterValue {
  readonly body: string | null;
  readonly epoch: number;
  readonly revision: number;
  /** Every accept of the alpha advances it. */
  readonly heartbeat: number;
}

/** Acceptor name -> incarnation: the incarnation in which each status node may vote. An acceptor that was emptied and
    seeded again has forgotten its promises, so it votes only after a chosen value names its new incarnation
    (seeding.ts). */
export type Members = Readonly<Record<string, string>>;

/** bodyBallot is the ballot under which this body was first proposed. It identifies the body: two bodies never share
    one. */
export interface Accepted {
  readonly ballot: Ballot;
  readonly bodyBallot: Ballot;
  readonly value: RegisterValue;
  readonly members: Members;
}

export interface PrepareRequest {
  readonly ballot: Ballot;
}

export type PrepareReply =
  | {
      readonly kind: "promised";
      readonly accepted: Accepted | null;
      /** The incarnation of the promising acceptor. */
      readonly incarnation: string;
    }
  | { readonly kind: "refused"; readonly promised: Ballot }
  | NotVoting;

export interface AcceptRequest {
  readonly ballot: Ballot;
  readonly bodyBallot: Ballot;
  readonly heartbeat: number;
  readonly epoch: number;
  readonly revision: number;
  /** Absent: the body that the acceptor holds under `bodyBallot`. An acceptor without it replies needs-body. */
  readonly body?: string;
  /** With a body: the twine.conf whose digest the body contains, stored beside it. Readers check it by the digest
      (adopted-conf.ts), so it needs no agreement. Absent: the stored one is kept. */
  readonly conf?: string;
  /** bodyBallot of the newest body that the proposer knows to be chosen, so that followers learn it from one node. */
  readonly chosen: Ballot | null;
  /** Promised in the same step. */
  readonly next: Ballot;
  /** An acceptor with another incarnation replies stranger and changes nothing. */
  readonly members: Members;
}

export type AcceptReply =
  | { readonly kind: "accepted" }
  | { readonly kind: "refused"; readonly promised: Ballot }
  | { readonly kind: "needs-body" }
  | { readonly kind: "stranger"; readonly incarnation: string }
  | NotVoting;

/** unstamped: an empty status node; foreign: stamped by another cluster. Neither votes. */
export type NotVoting =
  { readonly kind: "unstamped" } | { readonly kind: "foreign"; readonly cluster: string };

/** An acceptor's state for readers, without any promise. */
export interface AcceptorState {
  /** The cluster of this status node. If it is another cluster, all other fields are null. */
  readonly stamp: string | null;
  readonly incarnation: string | null;
  readonly promised: Ballot | null;
  readonly accepted: Accepted | null;
  readonly chosen: Ballot | null;
}

export interface SeedRequest {
  /** A unique text. */
  readonly incarnation: string;
  /** The precondition: null: the node is unstamped; else: it has this incarnation. */
  readonly replaces: string | null;
  /** A chosen value whose members name `incarnation`; null at a first start. The node also promises its ballot. */
  readonly accepted: Accepted | null;
}

/** One status node. Every method rejects if the node can't be reached: its vote is then missing. */
export interface Acceptor {
  readonly name: string;
  prepare(request: PrepareRequest): Promise<PrepareReply>;
  accept(request: AcceptRequest): Promise<AcceptReply>;
  /** Without `withBody` the body is null. */
  read(withBody: boolean): Promise<AcceptorState>;
  /** Stamps an empty node, or gives a known one a new incarnation; its state never goes back. Resolves with false,
      without a change, if the node does not match `replaces`. Send a seed only once: a retry needs a new incarnation. */
  seed(request: SeedRequest): Promise<boolean>;
}

export type Chosen =
  | { readonly kind: "chosen"; readonly value: RegisterValue }
  /** A higher ballot was promised elsewhere: prepare again, or give up. */
  | { readonly kind: "conflict"; readonly promised: Ballot }
  /** Less than a majority replied. The value may or may not be chosen later: only a new prepare shows it. */
  | { readonly kind: "no-majority"; readonly reasons: readonly string[] };

export type Prepared =
  /** `ballot`: of the accept by which the value came; null: there is no value. */
  | {
      readonly kind: "prepared";
      readonly value: RegisterValue | null;
      readonly ballot: Ballot | null;
    }
  | { readonly kind: "conflict"; readonly promised: Ballot }
  | { readonly kind: "no-majority"; readonly reasons: readonly string[] };

/** A new body. `conf`: the twine.conf whose digest the body contains, if the proposer has it. */
export interface Draft {
  readonly body: string;
  readonly epoch: number;
  readonly revision: number;
  readonly conf?: string;
}

/** One monitor's access to the register. Calls must not overlap. */
export interface Proposer {
  /** First round: gets a majority's promise and the newest value among the replies. Stamps and re-seeds empty status
      nodes by the rules of seeding.ts. */
  prepare(): Promise<Prepared>;
  /** Writes a new body under the held promise. After a conflict or no-majority no promise is held. */
  write(value: Draft): Promise<Chosen>;
  /** Renews the lease: advances the heartbeat, sends no body. */
  beat(): Promise<Chosen>;
  /** Releases the held promise. */
  releasePromise(): void;
}

/** The result of reading all status nodes without writing. */
export interface RegisterReading {
  /** The newest value known to be chosen; null: none yet, or none is known. */
  readonly value: RegisterValue | null;
  /** The number of status nodes that hold exactly that value's body. */
  readonly confirmations: number;
  /** The highest ballot that any node has accepted; null: none. Every accept has a higher one than all that were chosen. */
  readonly ballot: Ballot | null;
  readonly answered: readonly string[];
  /** Node name -> why it gave no reply. */
  readonly silent: ReadonlyMap<string, NodeFailure>;
  /** Nodes that replied and have no vote: empty while another holds a value, or emptied and not readmitted. */
  readonly emptied: readonly string[];
}
