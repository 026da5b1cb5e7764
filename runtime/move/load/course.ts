// course.ts: how far a load has come, over all its attempts, and in its checkpoint.
import type { HistoryMark, View } from "../../core/view.ts";
import type { Verified } from "../verify/verify.ts";
import {
  CHECKPOINT_FORMAT,
  checkpointText,
  parseCheckpoint,
  type Checkpoint,
  type Marks,
} from "./checkpoint.ts";
import type { Loading, ShardMark } from "./loading.ts";
import type { LoadOptions } from "./load-options.ts";
import type { LoadTargets } from "./load-targets.ts";
import { OwnWrites } from "./own-writes.ts";
import type { Scattered } from "./scattered-keys.ts";

export class Course {
  readonly ownWrites = new OwnWrites();
  scattered: Scattered = { owners: new Map(), twice: 0, misplaced: 0, examples: [] };
  leftOut = 0;
  isCompared = false;
  verified: Verified | undefined;
  /** What was reached: grows. */
  steps = 0;
  readonly #options: LoadOptions;
  #layout = "";
  #isBegun = false;
  #copies = 0;
  #wasEmpty = true;
  #wasComplete = false;
  #phase: Checkpoint["phase"] = "copying";
  #isResumable = true;
  #saved: Promise<void> = Promise.resolve();
  /** Of an earlier run. */
  #before: Checkpoint | undefined;
  #marks: Marks | undefined;
  /** Taken, but not yet on the cluster's replicas. */
  #next:
    | { readonly sources: readonly ShardMark[]; readonly targets: readonly HistoryMark[] }
    | undefined;

  private constructor(options: LoadOptions) {
    this.#options = options;
  }

  /** Reads the checkpoint. Throws CHECKPOINT_BAD. */
  static async open(options: LoadOptions): Promise<Course> {
    const course = new Course(options);
    const { checkpoint, source, cluster } = options;
    const text = await checkpoint?.read();
    if (checkpoint === undefined || text === undefined) return course;
    course.#before = parseCheckpoint(text, checkpoint.name, { source, cluster });
    return course;
  }

  /** Every check was passed. */
  get isBegun(): boolean {
    return this.#isBegun;
  }

  /** It was compared, and some keys differ. */
  get differs(): boolean {
    return this.verified?.isSame === false;
  }

  get copies(): number {
    return this.#copies;
  }

  get layout(): string {
    return this.#layout;
  }

  get marks(): Marks | undefined {
    return this.#marks;
  }

  get isSwitched(): boolean {
    return this.#phase === "switched";
  }

  /** An earlier run had everything in the cluster: then a user ended it, or it was killed. The application may have been
      switched since, by hand. */
  get mayBeUsed(): boolean {
    return this.#before !== undefined && this.#before.phase !== "copying";
  }

  /** The cluster had everything in this run. */
  get wasComplete(): boolean {
    return this.#wasComplete;
  }

  /** All keys that the cluster holds came by an earlier run. */
  get ownsKeys(): boolean {
    return this.#before?.wasEmpty === true;
  }

  /** Some keys that the cluster holds may have come by an earlier attempt or run. */
  get hasPart(): boolean {
    return this.#copies > 0 || this.#before !== undefined;
  }

  get #wasSwitched(): boolean {
    return this.#before?.phase === "switched";
  }

  begin(layout: string, isEmpty: boolean): void {
    this.#isBegun = true;
    this.#layout = layout;
    // Which copies counted is not in the checkpoint.
    this.#isResumable = this.scattered.owners.size === 0;
    // With --merge or --replace the cluster may get keys of others too.
    this.#wasEmpty = this.#options.mode === "empty";
    if (isEmpty && this.#before !== undefined && !this.#wasSwitched) {
      this.noteAnew("the cluster is empty");
      this.#before = undefined;
    }
    const before = this.#before;
    if (before === undefined) return;
    this.#phase = before.phase;
    if (before.layout === layout && this.#isResumable) this.#marks = before.marks;
    if (this.#marks === undefined && before.phase !== "copying") {
      this.noteAnew("keys are divided in another way than before, or lie where they don't belong");
    }
  }

  /** The keys are divided in another way now. */
  take(layout: string): void {
    this.#layout = layout;
    this.forgetMarks();
  }

  noteAnew(why: string): void {
    this.#options.onNote(`everything is copied again: ${why}`);
    this.forgetMarks();
  }

  forgetMarks(): void {
    this.#marks = undefined;
    this.#next = undefined;
  }

  /** The copy of all keys begins. */
  async copying(): Promise<void> {
    this.#copies++;
    this.#phase = "copying";
    this.leftOut = 0;
    this.isCompared = false;
    await this.#save();
  }

  /** The cluster has everything: said in the checkpoint before anybody may switch the application, by hand or not. */
  async complete(): Promise<void> {
    this.#wasComplete = true;
    if (this.#phase !== "copying") return;
    this.#phase = "following";
    await this.#save();
  }

  /** Everything of the source up to now is in the cluster; it counts when the cluster's replicas have it too. */
  async mark(loading: Loading, targets: LoadTargets, view: View): Promise<void> {
    const next = this.#next;
    if (next !== undefined) {
      if (!(await targets.areSafe(next.targets, view))) return;
      this.#marks = next;
      this.steps++;
      await this.#save();
    }
    const sources = await loading.marks();
    if (sources !== undefined) this.#next = { sources, targets: await targets.marks() };
  }

  /** Whether everything that was taken last is safe. */
  get isSafe(): boolean {
    return this.#next !== undefined && this.#marks === this.#next;
  }

  /** By shard, what may have reached the cluster. */
  sentUpTo(offsets: readonly number[]): void {
    const marks = this.#marks;
    this.#next = undefined;
    if (marks === undefined) return;
    const sources = marks.sources.map((mark, index) => ({
      ...mark,
      offsetMax: laterOf(mark.offsetMax, offsets[index]),
    }));
    this.#marks = { ...marks, sources };
  }

  async switched(): Promise<void> {
    this.#phase = "switched";
    await this.#save();
  }

  async ended(): Promise<void> {
    if (this.#phase === "following") this.#phase = "ended";
    await this.#save();
  }

  /** One after the other. */
  #save(): Promise<void> {
    const saved = this.#saved.then(() => this.#write());
    this.#saved = saved.catch(() => undefined);
    return saved;
  }

  async #write(): Promise<void> {
    const { checkpoint, source, cluster } = this.#options;
    if (checkpoint === undefined) return;
    const marks = this.#marks;
    await checkpoint.write(
      checkpointText({
        ...{ format: CHECKPOINT_FORMAT, source, cluster, layout: this.#layout },
        ...{ phase: this.#phase, wasEmpty: this.#wasEmpty },
        ...(marks === undefined || !this.#isResumable ? {} : { marks }),
      }),
    );
  }
}

/** A negative offset: nothing was sent. */
function laterOf(before: number | undefined, now = -1): number | undefined {
  return now < 0 ? before : Math.max(before ?? -1, now);
}
