// sentinel-panel.ts: which node is master of each partition, asked of every Sentinel at once; and to be told when that changes.
import { addressOf, nodesOf, type ClusterConfig } from "../core/cluster.ts";
import { asDefaultUser, credentialsOf, type Secret } from "../core/credentials.ts";
import { errorText } from "../core/error-text.ts";
import type { Problem } from "../core/errors.ts";
import { masterName, sentinelsOf } from "../core/sentinel-nodes.ts";
import { recordedAddress, recordedEpoch, sentinelRecord } from "../core/sentinel-records.ts";
import type { Clock } from "../ports/clock.ts";
import type { OpenLink, RedisLink, RedisReply } from "../ports/redis-link.ts";
import { agreedMaster, type SentinelAnswer } from "./agreed-master.ts";
import type { ServerAddress } from "./pool-file.ts";

export interface SentinelPorts {
  readonly config: ClusterConfig;
  readonly password: Secret | undefined;
  readonly clock: Clock;
  readonly openLink: OpenLink;
}

export interface MastersReading {
  /** By partition; undefined where nobody may be believed. */
  readonly masters: readonly (ServerAddress | undefined)[];
  readonly problems: readonly Problem[];
  /** Names of the Sentinels that answered. */
  readonly answered: readonly string[];
}

const ANSWER_WITHIN_MS = 2000;
const AGAIN_AFTER_MS = 500;
/** The second says the same a second earlier, but only at the Sentinel that leads the failover. */
const SWITCHES = ["+switch-master", "+promoted-slave"] as const;

/** Asks again and again, and remembers the newest epoch of each partition. */
export class SentinelPanel {
  readonly #ports: SentinelPorts;
  readonly #epochs = new Map<number, number>();
  #isClosed = false;
  readonly #links = new Set<RedisLink>();

  constructor(ports: SentinelPorts) {
    this.#ports = ports;
  }

  async read(): Promise<MastersReading> {
    const { config } = this.#ports;
    const sentinels = sentinelsOf(config);
    const outcomes = await Promise.all(
      sentinels.map(async (sentinel) => {
        try {
          return { sentinel, answers: await this.#ask(sentinel) };
        } catch (error) {
          return { sentinel, why: errorText(error) };
        }
      }),
    );
    const problems: Problem[] = [];
    const heard = outcomes.filter((outcome) => outcome.answers !== undefined);
    if (heard.length === 0) problems.push(nobodyAnswers(outcomes));
    const masters = Array.from({ length: config.settings.partitions }, (_, partition) => {
      const answers = heard.flatMap(({ answers }) => answers.get(partition) ?? []);
      const { master, epoch, problem } = agreedMaster(this.#questionOf(partition), answers);
      this.#epochs.set(partition, epoch);
      if (problem !== undefined) problems.push(problem);
      return master;
    });
    return { masters, problems, answered: heard.map(({ sentinel }) => sentinel.name) };
  }

  /** `onSwitch` runs whenever any Sentinel reports a new master. A subscription that breaks is opened again. */
  follow(onSwitch: () => void): void {
    for (const sentinel of sentinelsOf(this.#ports.config))
      void this.#subscribe(sentinel, onSwitch);
  }

  close(): void {
    this.#isClosed = true;
    for (const link of this.#links) link.close();
  }

  /** close() may come while something is awaited. */
  #hasEnded(): boolean {
    return this.#isClosed;
  }

  #questionOf(partition: number): Parameters<typeof agreedMaster>[0] {
    const data = nodesOf(this.#ports.config, "data").filter((node) => node.partition === partition);
    return {
      name: masterName(partition),
      nodes: data.map(({ host, port }) => ({ host: addressOf(host), port })),
      seenEpoch: this.#epochs.get(partition) ?? 0,
    };
  }

  async #ask(sentinel: SentinelPlace): Promise<ReadonlyMap<number, SentinelAnswer>> {
    const link = await sentinelLink(this.#ports, sentinel);
    try {
      const found = new Map<number, SentinelAnswer>();
      for (let partition = 0; partition < this.#ports.config.settings.partitions; partition++) {
        const name = masterName(partition);
        // The address changes as soon as a replica is promoted, the map's own ip only when all others follow it.
        const address = await link.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name);
        const master = masterIn(address);
        if (master === undefined) continue;
        const facts = await link.call("SENTINEL", "MASTER", name);
        const epoch = recordedEpoch(sentinelRecord(wordsOf(facts)));
        found.set(partition, { sentinel: sentinel.name, master, epoch });
      }
      return found;
    } finally {
      link.close();
    }
  }

  async #subscribe(sentinel: SentinelPlace, onSwitch: () => void): Promise<void> {
    while (!this.#hasEnded()) {
      try {
        const link = await sentinelLink(this.#ports, sentinel);
        this.#links.add(link);
        const closed = new Promise<void>((resolve) => {
          link.onClose(() => {
            resolve();
          });
        });
        if (this.#hasEnded()) {
          link.close();
          return;
        }
        for (const channel of SWITCHES) await link.subscribe(channel, onSwitch);
        // What was reported while nobody listened.
        onSwitch();
        await closed;
        this.#links.delete(link);
      } catch {
        // It is down; read() says so.
      }
      if (!this.#hasEnded()) await this.#ports.clock.delay(AGAIN_AFTER_MS);
    }
  }
}

export interface SentinelPlace {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

/** A connection to one Sentinel, or to a monitor that speaks its protocol. */
export function sentinelLink(
  { config, password, openLink }: SentinelPorts,
  sentinel: SentinelPlace,
): Promise<RedisLink> {
  // Redis's own Sentinel knows the nameless user alone.
  const isSentinel = config.settings.failover === "sentinel";
  const app = credentialsOf("app", password);
  return openLink(placeOf(sentinel), {
    credentials: app !== undefined && isSentinel ? asDefaultUser(app) : app,
    clientName: "twine-twemproxy",
    connectTimeoutMs: ANSWER_WITHIN_MS,
    commandTimeoutMs: ANSWER_WITHIN_MS,
  });
}

function placeOf({ host, port }: SentinelPlace): ServerAddress {
  return { host: addressOf(host), port };
}

function wordsOf(reply: RedisReply): string[] {
  return Array.isArray(reply) ? (reply as readonly RedisReply[]).map(String) : [];
}

function masterIn(reply: RedisReply): ServerAddress | undefined {
  const [host = "", port = ""] = wordsOf(reply);
  return recordedAddress(addressOf(host), port);
}

function nobodyAnswers(
  outcomes: readonly { readonly sentinel: SentinelPlace; readonly why?: string }[],
): Problem {
  const reasons = outcomes.map(({ sentinel, why }) => `${sentinel.name} (${why ?? ""})`).join(", ");
  return {
    code: "SENTINELS_SILENT",
    message: `no Sentinel answers: ${reasons}; twemproxy is left as it is`,
    remedy: "twine-start starts those of this machine that do not run",
  };
}
