// register.ts: what the status register promises, as types; proposer.ts keeps the promise.
//
//   proposer (a monitor)        acceptors (the status nodes)
//        | prepare(ballot)   ->  promise: refuses lower ballots from now on; answers what it accepted last
//        | accept(ballot, …) ->  stores the value, promises the proposer's next ballot in the same step
//   a majority of accepts under one ballot = chosen. One register, one value: the view (JSON) and a heartbeat.
//
// CASPaxos, Rystsov 2018 (https://arxiv.org/abs/1802.07000), with the one-round-trip optimisation of its section 2.2.

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
  /** Advanced by every accept of the alpha. */
  readonly heartbeat: number;
}

/** Acceptor name -> incarnation: which life of each status node votes. An acceptor that was emptied and seeded again
    has forgotten its promises, so it votes anew only after a chosen value names its new incarnation (seeding.ts). */
export type Members = Readonly<Record<string, string>>;

/** The ballot under which this body was first proposed names it: two bodies never share one. */
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
      /** Of the acceptor that promises. */
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
  /** Absent: the body the acceptor already holds under `bodyBallot`; an acceptor without it answers needs-body. */
  readonly body?: string;
  /** bodyBallot of the newest body the proposer knows to be chosen, so that followers learn it from one node. */
  readonly chosen: Ballot | null;
  /** Promised in the same step. */
  readonly next: Ballot;
  /** An acceptor whose own incarnation is another answers stranger and changes nothing. */
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

/** What an acceptor shows to anyone who reads it, without any promise. */
export interface AcceptorState {
  /** The cluster whose status node this is; of another cluster's node nothing else is shown. */
  readonly stamp: string | null;
  readonly incarnation: string | null;
  readonly promised: Ballot | null;
  readonly accepted: Accepted | null;
  readonly chosen: Ballot | null;
}

export interface SeedRequest {
  /** A text that no other seed ever carries. */
  readonly incarnation: string;
  /** What the acceptor must be for the seed to happen: null, unstamped; otherwise of this incarnation. */
  readonly replaces: string | null;
  /** A chosen value whose members name `incarnation`; null at a first start. Its ballot is promised too. */
  readonly accepted: Accepted | null;
}

/** One status node. Every method rejects when the node can't be reached: its vote is then simply missing. */
export interface Acceptor {
  readonly name: string;
  prepare(request: PrepareRequest): Promise<PrepareReply>;
  accept(request: AcceptRequest): Promise<AcceptReply>;
  /** Everything but the body unless `withBody`. */
  read(withBody: boolean): Promise<AcceptorState>;
  /** Stamps an empty node, or gives a known one a new incarnation; nothing that it holds goes back. Answers false,
      and changes nothing, when the node is not what `replaces` says. Sent once: a repeat needs a new incarnation. */
  seed(request: SeedRequest): Promise<boolean>;
}

export type Chosen =
  | { readonly kind: "chosen"; readonly value: RegisterValue }
  /** A higher ballot was promised elsewhere: prepare again, or give way. */
  | { readonly kind: "conflict"; readonly promised: Ballot }
  /** Fewer than a majority answered. The value may or may not be chosen later: only a new prepare tells. */
  | { readonly kind: "no-majority"; readonly reasons: readonly string[] };

export type Prepared =
  | { readonly kind: "prepared"; readonly value: RegisterValue | null }
  | { readonly kind: "conflict"; readonly promised: Ballot }
  | { readonly kind: "no-majority"; readonly reasons: readonly string[] };

/** One monitor's hand on the register. Calls must not overlap. */
export interface Proposer {
  /** First round: a majority's promise and the newest value among them. Stamps and re-seeds empty status nodes by the
      rules of seeding.ts. */
  prepare(): Promise<Prepared>;
  /** Writes a new body under the standing promise; after a conflict or no-majority the promise is gone. */
  write(value: { body: string; epoch: number; revision: number }): Promise<Chosen>;
  /** Renews the lease: advances the heartbeat, sends no body. */
  beat(): Promise<Chosen>;
  /** Forgets the standing promise. */
  giveWay(): void;
}

/** What a reader of all status nodes learns, without writing. */
export interface RegisterReading {
  /** The newest value known to be chosen, or null: none yet, or none known. */
  readonly value: RegisterValue | null;
  /** How many status nodes hold exactly that value's body. */
  readonly confirmations: number;
  /** The highest heartbeat seen on any. */
  readonly heartbeat: number;
  readonly answered: readonly string[];
  /** name -> why not. */
  readonly silent: ReadonlyMap<string, string>;
  /** Those that answered and have no vote: empty beside a node that holds a value, or emptied and not let in again. */
  readonly emptied: readonly string[];
}
