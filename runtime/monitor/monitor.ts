// monitor.ts: one twined: watches the register until it may lead, leads until the leadership ends, and starts again.
// decide/ has the rules, observe/ the observations, act/ the actions; this file only connects them.
import { nodesOf, type ClusterConfig } from "../core/cluster.ts";
import { credentialsOf, passwordsOf, type Secret } from "../core/credentials.ts";
import { builtinHashing, hashingMismatch, type Hashing } from "../core/hashing.ts";
import { confDigest } from "../core/conf/digest.ts";
import { isBeingSwitched } from "../core/reshard.ts";
import type { View } from "../core/view.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import { startPeriodicTask, type PeriodicTask } from "../ports/periodic-task.ts";
import type { Random } from "../ports/random.ts";
import type { OpenLink } from "../ports/redis-link.ts";
import { createProposer } from "../register/proposer.ts";
import { readRegister } from "../register/read.ts";
import type { Acceptor } from "../register/register.ts";
import type { Rescuer } from "../replication/rescue.ts";
import type { MailOutcome } from "./decide/decide.ts";
import type { Rules } from "./decide/rules.ts";
import type { ArchiveState } from "../core/archive-state.ts";
import type { BackupOutcome } from "./decide/views/backup-view.ts";
import type { OpenCutLinks } from "./act/cut-links.ts";
import { createAdopted, type Adopted, type ReadConf } from "./adopted.ts";
import { createEmit, type Emit } from "./emit.ts";
import { runForAlpha, type Candidacy } from "./candidacy.ts";
import { createMembership, type Membership } from "./membership.ts";
import { askMonitorByHttp, type AskMonitor } from "./observe/ask-monitor.ts";
import type { SharedHashes } from "./observe/shared-hashes.ts";
import { createObserver, type Observer } from "./observe/observer.ts";
import { probeTcp, type Probe } from "./observe/tcp-probe.ts";
import type { Leadership } from "./leadership.ts";
import { createQuiet, type Quiet } from "./quiet.ts";
import { errorText } from "../core/error-text.ts";

export interface MonitorOptions {
  /** A monitor of `config`. */
  readonly name: string;
  /** Completed with defaults. */
  readonly config: ClusterConfig;
  /** The hashing that `config` names; absent: a built-in one. */
  readonly hashing?: Hashing;
  readonly password: Secret | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly openLink: OpenLink;
  /** Absent: cuts are taken over the links of all other actions. */
  readonly openCutLink?: OpenCutLinks;
  readonly acceptors: readonly Acceptor[];
  readonly hashes: SharedHashes;
  /** Reads the adopted twine.conf; absent: this monitor uses its own file. */
  readonly readConf?: ReadConf;
  readonly probe?: Probe;
  readonly askMonitor?: AskMonitor;
  /** Saves the data that only a rogue master has; absent: such a master is detached without it. */
  readonly rescuer?: Rescuer;
  /** Absent: RULES. */
  readonly rules?: Rules;
}

export interface MonitorHealth {
  readonly ok: boolean;
  readonly why: string;
  /** This monitor's name. */
  readonly name: string;
  /** Identifies this process of the monitor; unique. */
  readonly run: string;
  /** The alpha that this monitor knows; null before the first view. */
  readonly alpha: string | null;
  readonly isAlpha: boolean;
  readonly epoch: number;
  /** How its twine.conf differs from the adopted one; null when it does not, or when that is unknown. */
  readonly confDiffers: string | null;
  /** The number of passwords that it knows: none, one, or two while the password is being rotated. */
  readonly passwords: number;
}

export interface Monitor {
  health(): MonitorHealth;
  /** Whether this monitor is alpha and its lease has not ended, or sees another monitor renew the lease. */
  isAlphaAlive(): boolean;
  /** The alpha's own view, or the last one that this monitor has read of its cluster. */
  view(): View | null;
  /** The adopted twine.conf; undefined when it is this monitor's own, or unknown. */
  adoptedConf(): ClusterConfig | undefined;
  /** INFO all of a data node, as text; rejects when it can't be asked. */
  detailsOf(node: string): Promise<string>;
  /** Emits an event of another part of this process, in the log and on the status nodes. */
  readonly emit: Emit;
  /** Sets the state of the backups, which the view shows. */
  noteBackup(outcome: BackupOutcome): void;
  /** Sets the archiver's report; undefined: this monitor does not record the archive. */
  noteArchive(outcome: ArchiveState | undefined): void;
  /** Sets the result of the last mail: the view shows one that could not be sent. */
  noteMail(outcome: MailOutcome): void;
  /** Takes a changed twine.conf and its hashing. Returns why it is refused, or undefined. */
  reload(config: ClusterConfig, hashing: Hashing): string | undefined;
  stop(): Promise<void>;
}

export function startMonitor(options: MonitorOptions): Monitor {
  return new RunningMonitor(options);
}

/** Several observations at the same time need only one round. */
const LEAST_GAP_MS = 10;
/** While a resharding switches, or a master hands over: clients wait for each step. */
const LEAST_GAP_MS_AWAITED = 1;

class RunningMonitor implements Monitor {
  readonly #options: MonitorOptions;
  readonly emit: Emit;
  readonly #run: string;
  readonly #membership: Membership;
  readonly #adopted: Adopted;
  readonly #observer: Observer;
  readonly #candidacy: Candidacy;
  readonly #loop: PeriodicTask;
  readonly #quiet: Quiet;
  readonly #troubles = new Map<string, string>();
  #config: ClusterConfig;
  #digest: string;
  #hashing: Hashing;
  #leadership: Leadership | undefined;
  #mail: MailOutcome | undefined;
  #backup: BackupOutcome | undefined;
  #archive: ArchiveState | undefined;

  constructor(options: MonitorOptions) {
    this.#options = options;
    this.#config = options.config;
    const { clock } = options;
    this.#quiet = createQuiet(clock, () => Math.min(150, this.#config.settings.leaseMs / 5));
    this.#digest = confDigest(options.config);
    this.#hashing = options.hashing ?? builtinHashing(options.config.settings);
    this.emit = createEmit(options.log, (event, fields) => {
      const { name: monitor, clock, hashes } = options;
      // Subscribers take every monitor that publishes here for a member of the cluster.
      if (!this.#membership.isMember()) return;
      const reported = { monitor, event, at: clock.wallTime(), ...fields };
      // The log has the event, so a status node that can't be reached may miss it.
      hashes.publishEvent(JSON.stringify(reported)).catch(() => undefined);
    });
    this.#run = `${options.clock.wallTime()} ${options.random.next()}`;
    this.#membership = createMembership({
      name: options.name,
      run: this.#run,
      config: () => this.#config,
      clock: options.clock,
      askMonitor: options.askMonitor ?? askMonitorByHttp,
      emit: this.emit,
    });
    this.#adopted = createAdopted({
      config: () => this.#config,
      confDigest: () => this.#digest,
      clock: options.clock,
      emit: this.emit,
      readConf: options.readConf,
    });
    this.#observer = this.#createObserver();
    this.#candidacy = this.#createCandidacy();
    this.#loop = startPeriodicTask({
      clock: options.clock,
      restMs: (spentMs) => this.#config.settings.leaseMs / 5 - spentMs,
      leastGapMs: () => (this.#isAwaited() ? LEAST_GAP_MS_AWAITED : LEAST_GAP_MS),
      run: () => this.#tick(),
      onError: (error) => {
        const why = error instanceof Error ? error.stack : String(error);
        this.emit("-tick", { why });
      },
    });
  }

  view(): View | null {
    if (this.#membership.isStranger()) return null;
    return this.#leadership?.view() ?? this.#candidacy.view();
  }

  adoptedConf(): ClusterConfig | undefined {
    const view = this.view();
    return view === null ? undefined : this.#adopted.otherThanOwn(view);
  }

  detailsOf(node: string): Promise<string> {
    return this.#observer.details(node);
  }

  isAlphaAlive(): boolean {
    if (this.#membership.isStranger()) return false;
    return this.#leadership?.holdsLease() ?? this.#candidacy.isAlphaAlive();
  }

  health(): MonitorHealth {
    const why = this.#trouble();
    const { name } = this.#options;
    const view = this.view();
    const { alpha, epoch } = view ?? { alpha: null, epoch: 0 };
    const isAlpha = this.#leadership !== undefined;
    const confDiffers = this.#adopted.difference(view);
    const passwords = passwordsOf(this.#options.password).length;
    const known = { alpha, isAlpha, epoch, confDiffers, passwords };
    return { ok: why === "", why, name, run: this.#run, ...known };
  }

  noteBackup(outcome: BackupOutcome): void {
    this.#backup = outcome;
    this.#loop.trigger();
  }

  noteArchive(outcome: ArchiveState | undefined): void {
    this.#archive = outcome;
  }

  noteMail(outcome: MailOutcome): void {
    this.#mail = outcome;
    this.#loop.trigger();
  }

  reload(config: ClusterConfig, hashing: Hashing): string | undefined {
    const why = reloadConflict(this.#config, config, hashing, this.view());
    if (why !== undefined) {
      this.emit("-conf", { refused: true, why });
      return why;
    }
    // The cluster uses this file until it has adopted the changed one.
    if (this.view()?.confDigest === this.#digest) this.#adopted.keep(this.#digest, this.#config);
    this.#config = config;
    this.#digest = confDigest(config);
    this.#hashing = hashing;
    this.#observer.reload();
    this.#loop.trigger();
    return undefined;
  }

  async stop(): Promise<void> {
    await this.#loop.stop();
    if (this.#leadership !== undefined) {
      // The cluster may be shutting down: the present data of its masters is the evidence when they come back.
      await this.#observer.recordNow().catch((error: unknown) => {
        this.emit("-task", { task: "last record", why: String(error) });
      });
      this.emit("-alpha", { epoch: this.#leadership.epoch, why: "stopped" });
    }
    this.#leadership?.end();
    this.#observer.stop();
  }

  #isAwaited(): boolean {
    const leadership = this.#leadership;
    return isBeingSwitched(leadership?.view().reshard) || leadership?.isHandingOver() === true;
  }

  async #tick(): Promise<void> {
    const quiet = this.#quiet.over();
    if (quiet !== undefined) await quiet;
    void this.#adopted.learn(this.view());
    const leadership = this.#leadership;
    if (leadership === undefined) {
      this.#leadership = await this.#candidacy.tick();
      return;
    }
    this.#membership.judge(leadership.view());
    const keepsOut = this.#membership.keepsOutBecause();
    const over = keepsOut === "" ? await leadership.tick() : keepsOut;
    if (over !== undefined) {
      this.emit("-alpha", { epoch: leadership.epoch, why: over });
      const trouble = this.#trouble();
      leadership.end();
      this.#leadership = undefined;
      // Another alpha may take backups meanwhile.
      this.#backup = undefined;
      this.#candidacy.restart(trouble);
    } else if (leadership.isRestless()) this.#loop.trigger();
  }

  #trouble(): string {
    if (!this.#loop.isAlive(10 * this.#config.settings.leaseMs)) return "the loop does not tick";
    const keepsOut = this.#membership.keepsOutBecause();
    if (keepsOut !== "") return keepsOut;
    if (this.#leadership === undefined) return this.#candidacy.trouble();
    return this.#leadership.holdsLease() ? "" : "the lease ran out";
  }

  #ports() {
    const { name, password, clock, openLink, openCutLink, hashes } = this.#options;
    return {
      name,
      credentials: credentialsOf("monitor", password),
      clock,
      openLink,
      openCutLink,
      hashes,
      emit: this.emit,
      quiet: this.#quiet,
      config: () => this.#config,
      confDigest: () => this.#digest,
      hashing: () => this.#hashing,
      adopted: this.#adopted,
      mail: () => this.#mail,
      backup: () => this.#backup && { ...this.#backup, archive: this.#archive },
    };
  }

  #createObserver(): Observer {
    const { acceptors, probe } = this.#options;
    return createObserver({
      ...this.#ports(),
      run: this.#run,
      isMember: () => this.#membership.isMember(),
      acceptors,
      probe: probe ?? probeTcp,
      onNews: () => {
        this.#loop.trigger();
      },
      onTrouble: (what, error) => {
        const why = errorText(error);
        // The same error again is not logged again.
        if (this.#troubles.get(what) !== why) this.emit("-task", { task: what, why });
        this.#troubles.set(what, why);
      },
    });
  }

  #createCandidacy(): Candidacy {
    const { name, clock, random, acceptors, rules } = this.#options;
    const { cluster } = this.#config.settings;
    return runForAlpha({
      ...this.#ports(),
      random,
      membership: this.#membership,
      rescuer: this.#options.rescuer,
      rules,
      proposer: createProposer({
        name,
        cluster,
        acceptors,
        random,
        clock,
        ...(rules === undefined ? {} : { quorumOf: rules.quorumOf }),
      }),
      observer: this.#observer,
      read: (withBody) => readRegister(acceptors, cluster, { withBody }),
    });
  }
}

/** Why a running monitor can't use a changed twine.conf: the change needs a restart of the whole cluster, or is impossible
    without losing keys. undefined: it can. */
function reloadConflict(
  present: ClusterConfig,
  changed: ClusterConfig,
  hashing: Hashing,
  view: View | null,
): string | undefined {
  if (present.settings.cluster !== changed.settings.cluster) {
    return `the cluster is named ${present.settings.cluster} and the new twine.conf says ${changed.settings.cluster}`;
  }
  const places = (config: ClusterConfig): string =>
    nodesOf(config, "status")
      .map(({ name, host, port, db }) => `${name} ${host}:${port}/${db}`)
      .join(", ");
  if (places(present) !== places(changed)) {
    return `the status nodes are ${places(present)} and the new twine.conf says ${places(changed)}: stop the cluster to change them`;
  }
  return view === null ? undefined : hashingMismatch(view, hashing);
}
