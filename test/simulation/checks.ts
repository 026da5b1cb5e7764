// checks.ts: what must be true at every moment of a simulated run, and at its end.
//
//   status nodes' votes --> register-watch.ts      a minority chooses nothing; epoch and revision never fall; one alpha
//   monitors' events    --> said and chosen?       one lease at a time; no tick fails
//   data nodes          --> who acted, who served  fences hold; only the chosen is promoted; the dead serve nothing
//   routers             --> what was acknowledged  nothing of it is missing at the end
import type { View } from "../../runtime/core/view.ts";
import type { LogFields } from "../../runtime/ports/log.ts";
import { ByHand, OPERATOR } from "./by-hand.ts";
import { CutCheck } from "./cut-check.ts";
import type { Connection } from "./connection.ts";
import type { DataNode, DataNodeWatch } from "./data-node.ts";
import { RegisterWatch } from "./register-watch.ts";
import type { Address } from "./replication-link.ts";
import type { StatusNode } from "./status-node.ts";
import type { Trace } from "./trace.ts";

export interface ChecksOptions {
  readonly trace: Trace;
  readonly nowMs: () => number;
  readonly statusNodeCount: number;
  readonly ackReplicas: number;
  readonly dataNodes: readonly DataNode[];
  /** Monitors that believe to hold the lease and could act on it now. */
  readonly holders: () => readonly string[];
}

interface Promotion {
  readonly node: string;
  readonly atMs: number;
}

export interface Acknowledged {
  readonly partition: number;
  readonly write: number;
}

export class Checks implements DataNodeWatch {
  readonly violations: string[] = [];
  readonly register: RegisterWatch;
  readonly acknowledged: Acknowledged[] = [];
  /** Data nodes that have lost data and are not known to have it all again. */
  readonly wounded = new Set<string>();
  /** Data nodes that ever lost data that they had executed. */
  readonly everWounded = new Set<string>();
  readonly byHand = new ByHand();
  readonly cuts = new CutCheck();
  readonly #options: ChecksOptions;
  readonly #alphaOf = new Map<number, string>();
  /** node and life -> the highest epoch that has fenced it. */
  readonly #fences = new Map<string, number>();
  readonly #promotions: Promotion[][] = [];
  readonly #chosenFor = new Map<string, string>();
  readonly #lives = new Set<string>();
  readonly #sentAtMs: number[] = [];

  constructor(options: ChecksOptions) {
    this.#options = options;
    this.register = new RegisterWatch({
      statusNodeCount: options.statusNodeCount,
      violation: (text) => {
        this.violate(text);
      },
      onChosen: (view) => {
        this.#heal(view);
        // An old master that never left is master again without being promoted.
        for (const { index, master } of view.partitions) {
          if (master !== null) this.#takesOver(index, master);
        }
      },
    });
  }

  violate(text: string): void {
    this.violations.push(text);
    this.#options.trace.note(`VIOLATION ${text}`);
  }

  voted = (node: StatusNode): void => {
    const { accepted } = node.acceptor.peek();
    if (accepted !== null) this.register.vote(node.name, accepted);
  };

  /** What a monitor of that life says in its log. */
  said(monitor: string, life: number, level: string, message: string, fields: LogFields): void {
    this.#options.trace.note(`${monitor} ${message} ${textOf(fields)}`);
    if (level === "error") this.violate(`${monitor}: ${message} ${textOf(fields)}`);
    const { epoch, revision } = fields;
    const holders = this.#options.holders();
    if (holders.length > 1) this.violate(`${holders.join(" and ")} hold leases at once`);
    if (message === "+alpha") this.#leads(`${monitor}#${life}`, Number(epoch));
    const { request, state, message: answer } = fields as Record<string, unknown>;
    if (
      message === "+answer" &&
      (request as { kind?: string }).kind === "cut" &&
      state === "done"
    ) {
      const wrong = this.cuts.judge(String(answer));
      if (wrong !== undefined) this.violate(wrong);
    }
    if (message === "+view") {
      if (this.register.chosenView(Number(epoch), Number(revision)) === undefined) {
        this.violate(`${monitor} took view ${Number(epoch)}.${Number(revision)} for chosen`);
      }
    }
  }

  #leads(run: string, epoch: number): void {
    const other = this.#alphaOf.get(epoch) ?? run;
    if (other !== run) this.violate(`${other} and ${run} both lead epoch ${epoch}`);
    this.#alphaOf.set(epoch, run);
  }

  /** A node is fenced when its alpha knows that no connection of an earlier one is left there. */
  listed(node: DataNode, { name }: Connection, left: readonly string[]): void {
    const epoch = epochOf(name);
    if (epoch === undefined || left.some((other) => (epochOf(other) ?? epoch) < epoch)) return;
    const key = `${node.name}#${node.process.life}`;
    this.#fences.set(key, Math.max(epoch, this.#fences.get(key) ?? 0));
  }

  replicaOf(node: DataNode, connection: Connection, address: Address | null): void {
    if (connection.name === OPERATOR) {
      this.#lives.add(`${node.name}#${node.process.life}`);
      return;
    }
    const epoch = epochOf(connection.name);
    const target = address === null ? "NO ONE" : `${address.host}:${address.port}`;
    this.#options.trace.note(`${node.name} <- ${connection.name}: REPLICAOF ${target}`);
    const fence = this.#fences.get(`${node.name}#${node.process.life}`) ?? 0;
    if (epoch === undefined) {
      this.violate(`${connection.name} told ${node.name} REPLICAOF ${target}`);
      return;
    }
    if (epoch < fence) {
      this.violate(`epoch ${epoch} acted on ${node.name} after epoch ${fence} had fenced it`);
    }
    if (address === null) this.#promoted(node, epoch);
  }

  #promoted(node: DataNode, epoch: number): void {
    const { partition, name } = node;
    this.#handedTo(node);
    const choice = this.#choiceOf(node, epoch);
    if (choice === undefined) {
      this.violate(`${name} was promoted, and no chosen view of epoch ${epoch} names it`);
    } else {
      const other = this.#chosenFor.get(choice) ?? name;
      if (other !== name) this.violate(`${other} and ${name} were both promoted by ${choice}`);
      this.#chosenFor.set(choice, name);
    }
    this.#lives.add(`${name}#${node.process.life}`);
    // One that slept when it was told wakes when another was chosen in its place (seed 63873): no view names it, so it
    // serves nobody, and a write that reaches it is one that was sent to another.
    const { master = null, promoting = null } = this.register.view?.partitions[partition] ?? {};
    if (master === name || promoting === name) this.#takesOver(partition, name);
  }

  /** While a chosen view hands over to a node, nobody serves at the old master any more when the node is promoted. */
  #handedTo({ partition, name }: DataNode): void {
    const handover = this.register.view?.partitions[partition]?.handover ?? null;
    const old = this.#options.dataNodes.find((node) => node.name === handover?.from);
    if (handover?.to === name && old?.replication.isMaster === true) {
      this.violate(`${name} was promoted while ${old.name}, which hands over to it, is master`);
    }
  }

  #takesOver(partition: number, node: string): void {
    const list = (this.#promotions[partition] ??= []);
    if (list.at(-1)?.node !== node) list.push({ node, atMs: this.#options.nowMs() });
  }

  /** The newest chosen view of that epoch that makes this node master, as a text. */
  #choiceOf(node: DataNode, epoch: number): string | undefined {
    let found: View | undefined;
    for (const view of this.register.chosenViews()) {
      const { promoting = null, handover = null } = view.partitions[node.partition] ?? {};
      const isNamed = promoting === node.name || handover?.to === node.name;
      if (view.epoch === epoch && isNamed) found = view;
    }
    return found === undefined
      ? undefined
      : `epoch ${epoch} revision ${found.revision} in partition ${node.partition}`;
  }

  /** A router sends a write. */
  sent(write: number): void {
    this.#sentAtMs[write] = this.#options.nowMs();
  }

  wrote(node: DataNode, writes: readonly number[]): void {
    const { id: replicationId, offset } = node.replication.history;
    for (const [at, write] of writes.entries()) {
      const behind = offset - writes.length + 1 + at;
      this.cuts.executed({ write, partition: node.partition, replicationId, offset: behind });
    }
    if (!this.#lives.has(`${node.name}#${node.process.life}`)) {
      this.violate(`${node.name} served a write and nobody had promoted it`);
    }
    if (this.#options.ackReplicas > 0) return;
    // With ack-replicas a write to a replaced master is not acknowledged; without, it must not come to be.
    const [write = 0] = writes;
    const sentAtMs = this.#sentAtMs[write] ?? 0;
    const last = (this.#promotions[node.partition] ?? [])
      .filter(({ atMs }) => atMs < sentAtMs)
      .at(-1);
    if (last !== undefined && last.node !== node.name) {
      this.violate(`${node.name} executed a write that was sent when ${last.node} was master`);
    }
  }

  acknowledge(partition: number, writes: readonly number[]): void {
    for (const write of writes) this.acknowledged.push({ partition, write });
  }

  lostData(node: DataNode, count: number): void {
    this.#options.trace.note(`${node.name} has lost ${count} writes`);
    this.wounded.add(node.name);
    this.everWounded.add(node.name);
  }

  /** Whether another node of that partition may lose data without breaking what is promised. */
  mayLose(node: DataNode): boolean {
    const { dataNodes, ackReplicas } = this.#options;
    const others = dataNodes.filter(
      ({ partition, name }) =>
        partition === node.partition && name !== node.name && this.wounded.has(name),
    );
    return others.length < ackReplicas;
  }

  /** A router follows this view. */
  followed(router: string, before: View | undefined, view: View): void {
    const { epoch, revision } = view;
    if (this.register.chosenView(epoch, revision) === undefined) {
      this.violate(`${router} follows view ${epoch}.${revision}, which is not chosen`);
    }
    const isBack =
      before !== undefined &&
      (epoch < before.epoch || (epoch === before.epoch && revision < before.revision));
    if (isBack) this.violate(`${router} went back to view ${epoch}.${revision}`);
  }

  /** In sync under its present run id: it holds all again. */
  #heal(view: View): void {
    for (const node of this.#options.dataNodes) {
      if (!this.wounded.has(node.name)) continue;
      const seen = view.nodes.find(({ name }) => name === node.name);
      // Down, it still has the run id under which it was whole.
      if (!node.process.isUp || seen?.runId !== node.runId || !seen.inSync) continue;
      // A master that has restarted is told as one until the next view, and may be empty (seed 731913).
      const { masterRunId } = view.partitions[node.partition] ?? {};
      if (seen.role === "master" && masterRunId !== node.runId) continue;
      this.wounded.delete(node.name);
      this.#options.trace.note(
        `${node.name} is whole again by view ${view.epoch}.${view.revision}`,
      );
    }
  }

  /** Once the world is whole and at rest: nothing that a rogue master took was thrown away without a copy. */
  judgeRescues(): void {
    for (const missing of this.byHand.missing(this.#options.dataNodes)) this.violate(missing);
  }

  /** Once the world is whole and at rest: nothing acknowledged is missing. */
  judgeWrites(view: View): void {
    const { dataNodes } = this.#options;
    for (const { index, master } of view.partitions) {
      const nodes = dataNodes.filter(({ partition }) => partition === index);
      const serving = nodes.filter(
        ({ name }) =>
          name === master || view.nodes.some((node) => node.name === name && node.inSync),
      );
      const mine = this.acknowledged.filter(({ partition }) => partition === index);
      if (master === null) {
        const all = new Set(nodes.flatMap(({ replication }) => replication.writes));
        this.#complain(`partition ${index}`, mine, all);
      } else {
        for (const { name, replication } of serving) {
          this.#complain(name, mine, new Set(replication.writes));
        }
      }
    }
  }

  #complain(where: string, wanted: readonly Acknowledged[], held: ReadonlySet<number>): void {
    const missing = wanted.filter(({ write }) => !held.has(write));
    const [first] = missing;
    if (first === undefined) return;
    this.violate(
      `${where} lacks ${missing.length} of ${wanted.length} acknowledged writes, first ${first.write}`,
    );
  }
}

function epochOf(name: string): number | undefined {
  const found = /^twined:[^:]+:(\d+)/.exec(name);
  return found === null ? undefined : Number(found[1]);
}

function textOf(fields: LogFields): string {
  return Object.entries(fields)
    .map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(" ");
}
