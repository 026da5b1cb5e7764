// register-oracle.ts: knows every vote that was ever given and says when the register broke its promise.
// A ballot is chosen when a majority of the status nodes, in whatever life, accepted it: the strictest reading, for a
// proposer may have counted just those answers. Bodies in the simulation are histories ("/m1.1/m2.4"), so that one body
// grew from another exactly when it starts with it.
import { majorityOf } from "../../runtime/core/cluster.ts";
import { compareViews } from "../../runtime/core/view.ts";
import { ballotText, compareBallots } from "../../runtime/register/ballot.ts";
import type { Accepted, Ballot } from "../../runtime/register/register.ts";

export class RegisterOracle {
  readonly violations: string[] = [];
  readonly #statusNodeCount: number;
  readonly #proposals = new Map<string, { accepted: Accepted; voters: Set<string> }>();
  #chosen: Accepted[] = [];

  constructor(statusNodeCount: number) {
    this.#statusNodeCount = statusNodeCount;
  }

  /** In the order of their ballots. */
  get chosen(): readonly Accepted[] {
    return this.#chosen;
  }

  vote(node: string, accepted: Accepted): void {
    const name = ballotText(accepted.ballot);
    const proposal = this.#proposals.get(name) ?? { accepted, voters: new Set() };
    this.#proposals.set(name, proposal);
    if (textOf(proposal.accepted) !== textOf(accepted)) {
      this.violations.push(`two values under ballot ${name}`);
    }
    const majority = majorityOf(this.#statusNodeCount);
    const wasChosen = proposal.voters.size >= majority;
    proposal.voters.add(node);
    if (!wasChosen && proposal.voters.size >= majority) this.#choose(accepted);
  }

  /** A proposer says that this value of its own was chosen. */
  claim(proposer: string, heartbeat: number, body: string | null): void {
    const isChosen = this.#chosen.some(
      ({ ballot, value }) =>
        ballot.proposer === proposer && value.heartbeat === heartbeat && value.body === body,
    );
    if (!isChosen) this.violations.push(`${proposer} took heartbeat ${heartbeat} for chosen`);
  }

  /** A reader says that the body of this ballot was chosen. */
  claimBody(bodyBallot: Ballot): void {
    const isChosen = this.#chosen.some((each) => compareBallots(each.bodyBallot, bodyBallot) === 0);
    if (!isChosen) this.violations.push(`a reader took ${ballotText(bodyBallot)} for chosen`);
  }

  /** What a majority promised to a proposer must hold all that was chosen below its ballot. */
  #choose(accepted: Accepted): void {
    this.#chosen = [...this.#chosen, accepted].sort((a, b) => compareBallots(a.ballot, b.ballot));
    for (const [index, later] of this.#chosen.entries()) {
      const earlier = this.#chosen[index - 1];
      if (earlier !== undefined && !grewFrom(earlier, later)) {
        const [from, to] = [ballotText(earlier.ballot), ballotText(later.ballot)];
        this.violations.push(`${to} was chosen without knowing ${from}`);
      }
    }
  }
}

function grewFrom(earlier: Accepted, later: Accepted): boolean {
  return (
    later.value.heartbeat > earlier.value.heartbeat &&
    compareViews(later.value, earlier.value) >= 0 &&
    (later.value.body ?? "").startsWith(earlier.value.body ?? "")
  );
}

function textOf({ bodyBallot, value, members }: Accepted): string {
  const lives = Object.entries(members).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([ballotText(bodyBallot), value.body, value.heartbeat, lives]);
}
