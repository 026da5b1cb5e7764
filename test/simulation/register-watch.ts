// register-watch.ts: counts every vote that reached a status node's disk and says when the register broke its promise.
// A ballot is chosen when a majority of all status nodes accepted it, in whatever life: the strictest reading, since a
// proposer may have counted just those answers.
import { majorityOf } from "../../runtime/core/cluster.ts";
import { compareViews, type View } from "../../runtime/core/view.ts";
import { ballotText, compareBallots, isSameBallot } from "../../runtime/register/ballot.ts";
import type { Accepted } from "../../runtime/register/register.ts";

export interface RegisterWatchOptions {
  readonly statusNodeCount: number;
  readonly violation: (text: string) => void;
  /** Every view once, when it is chosen. */
  readonly onChosen: (view: View) => void;
}

export class RegisterWatch {
  readonly #options: RegisterWatchOptions;
  readonly #proposals = new Map<string, { accepted: Accepted; voters: Set<string> }>();
  readonly #views = new Map<string, View>();
  readonly #alphas = new Map<number, string>();
  #newest: Accepted | undefined;
  #newestView: View | undefined;

  constructor(options: RegisterWatchOptions) {
    this.#options = options;
  }

  /** The last chosen value. */
  get newest(): Accepted | undefined {
    return this.#newest;
  }

  get view(): View | undefined {
    return this.#newestView;
  }

  /** The chosen view of that epoch and revision. */
  chosenView(epoch: number, revision: number): View | undefined {
    return this.#views.get(`${epoch}.${revision}`);
  }

  /** Every chosen view, first to last. */
  chosenViews(): IterableIterator<View> {
    return this.#views.values();
  }

  vote(node: string, accepted: Accepted): void {
    // What lies far below cannot be chosen any more, and a chosen one needs no more votes.
    const name = ballotText(accepted.ballot);
    let proposal = this.#proposals.get(name);
    if (proposal === undefined) {
      proposal = { accepted, voters: new Set() };
      this.#proposals.set(name, proposal);
    }
    const { value } = proposal.accepted;
    const isSame =
      isSameBallot(proposal.accepted.bodyBallot, accepted.bodyBallot) &&
      value.heartbeat === accepted.value.heartbeat &&
      value.body === accepted.value.body;
    if (!isSame) this.#options.violation(`two values under ballot ${name}`);
    const majority = majorityOf(this.#options.statusNodeCount);
    const wasChosen = proposal.voters.size >= majority;
    proposal.voters.add(node);
    if (!wasChosen && proposal.voters.size >= majority) this.#choose(accepted);
  }

  #choose(accepted: Accepted): void {
    const before = this.#newest;
    if (before !== undefined && compareBallots(accepted.ballot, before.ballot) < 0) {
      // Votes are counted when the disk has them, so an older ballot may be heard of late; it must have been known.
      if (accepted.value.heartbeat >= before.value.heartbeat) {
        this.#complain(accepted, before);
      } else this.#takeLate(accepted);
      return;
    }
    const isGrown =
      before === undefined ||
      (accepted.value.heartbeat > before.value.heartbeat &&
        (isSameBallot(accepted.bodyBallot, before.bodyBallot)
          ? accepted.value.body === before.value.body
          : compareViews(accepted.value, before.value) > 0));
    if (!isGrown) this.#complain(before, accepted);
    this.#newest = accepted;
    if (before === undefined || !isSameBallot(accepted.bodyBallot, before.bodyBallot)) {
      this.#takeBody(accepted);
    }
  }

  #takeBody({ value }: Accepted): void {
    const view = JSON.parse(value.body ?? "null") as View;
    const { epoch, revision, alpha } = view;
    if (epoch !== value.epoch || revision !== value.revision) {
      this.#options.violation(`the view says ${epoch}.${revision}, the register otherwise`);
    }
    const other = this.#alphas.get(epoch) ?? alpha;
    if (other !== alpha) {
      this.#options.violation(`epoch ${epoch} has two alphas, ${other} and ${alpha}`);
    }
    this.#alphas.set(epoch, alpha);
    this.#views.set(`${epoch}.${revision}`, view);
    this.#newestView = view;
    this.#options.onChosen(view);
  }

  /**
   * An accept that hung behind a cut made its majority when a successor, who knew of it, was chosen already (seed 71315):
   * chosen all the same, and a follower that has seen those votes may say so. It is never the newest.
   */
  #takeLate({ value }: Accepted): void {
    const name = `${value.epoch}.${value.revision}`;
    if (value.body === null || this.#views.has(name)) return;
    this.#views.set(name, JSON.parse(value.body) as View);
  }

  #complain(earlier: Accepted, later: Accepted): void {
    const [from, to] = [ballotText(earlier.ballot), ballotText(later.ballot)];
    this.#options.violation(`the register chose ${to} without knowing ${from}`);
  }
}
