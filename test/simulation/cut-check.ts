// cut-check.ts: whether what an alpha gave out as a consistent cut is of one moment: there is an instant up to which all
// writes of the cut had been executed, and none of those that it leaves out.
import { parseCut } from "../../runtime/core/cut.ts";

interface Executed {
  readonly write: number;
  readonly partition: number;
  /** The master's history, and its offset behind this write. */
  readonly replicationId: string;
  readonly offset: number;
}

export class CutCheck {
  /** In the order in which they were executed, wherever that was. */
  readonly #executed: Executed[] = [];
  /** Cuts that were given out. */
  count = 0;

  executed(one: Executed): void {
    this.#executed.push(one);
  }

  /** What is wrong with an alpha's answer; undefined when nothing is. */
  judge(message: string): string | undefined {
    const parsed = parseCut(message);
    if (parsed.kind !== "parsed") return `a cut can't be read: ${parsed.why}`;
    this.count += 1;
    const { marks } = parsed.value;
    const isIn = ({ partition, replicationId, offset }: Executed): boolean | undefined => {
      const mark = marks[partition];
      return mark?.replicationId === replicationId ? offset <= mark.offset : undefined;
    };
    const last = this.#executed.findLastIndex((one) => isIn(one) === true);
    const left = this.#executed.findIndex((one, at) => at < last && isIn(one) === false);
    const [inside, outside] = [this.#executed[last], this.#executed[left]];
    if (inside === undefined || outside === undefined) return undefined;
    return (
      `a cut is torn: it has write ${inside.write} of partition ${inside.partition} and not write ${outside.write} ` +
      `of partition ${outside.partition}, which was executed before`
    );
  }
}
