// register-view.ts: the newest chosen view of a cluster, as the tools read it from the status nodes.
import type { ClusterConfig } from "../../runtime/core/cluster.ts";
import type { View } from "../../runtime/core/view.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import { openRedisLink } from "../../runtime/ports/redis-link.ts";
import { openAcceptors } from "../../runtime/register/acceptors.ts";
import { readWhileLate } from "../../runtime/register/read-while-late.ts";
import { until } from "./redis-server.ts";

/** How long a cluster may take to be well again on a busy machine. */
export const HEALED_WITHIN_MS = 60_000;

/** How long a status node may be late on a busy machine before nothing is read. */
const LATE_MS = 2000;

export class RegisterView {
  readonly #opened: ReturnType<typeof openAcceptors>;

  constructor(config: ClusterConfig) {
    const ports = { config, password: undefined, clock: systemClock, openLink: openRedisLink };
    this.#opened = openAcceptors(ports);
  }

  /** Null before the first, and when no majority of the status nodes answers. */
  async read(): Promise<View | null> {
    const { acceptors } = this.#opened;
    const { value } = await readWhileLate(systemClock, acceptors, undefined, (reading) =>
      reading.value === null ? LATE_MS : 0,
    );
    return value === null || value.body === null ? null : (JSON.parse(value.body) as View);
  }

  /** Waits for a view that fits. A failure shows the last one as `story` tells it. */
  async where(
    what: string,
    fits: (view: View) => boolean,
    story: (view: View | null) => string | Promise<string> = (view) =>
      JSON.stringify(view, null, 1),
    withinMs = HEALED_WITHIN_MS,
  ): Promise<View> {
    const seen: { view: View | null } = { view: null };
    let found: View | undefined;
    const look = async (): Promise<boolean> => {
      seen.view = await this.read();
      if (seen.view !== null && fits(seen.view)) found = seen.view;
      return found !== undefined;
    };
    await until(what, look, withinMs).catch(async (error: unknown) => {
      throw new Error(`${String(error)}\n${await story(seen.view)}`, { cause: error });
    });
    if (found === undefined) throw new Error("there is no view");
    return found;
  }

  close(): void {
    this.#opened.close();
  }
}
