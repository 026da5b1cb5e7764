// routed-view.ts: the newest view and the routing that belongs to it, changed together and only between two requests.
//
//   view source --onChange--> RoutedView { view, routing, mismatch } --> pipelines, dedicated connections, subscriptions
//
// While the view does not match this process's configuration, `view` has no masters, so that nothing is sent; `mismatch` is the
// reason, and the routing stays as it was. Plain fields, because every command reads them.
import { isMismatch, type Routing, type RoutingSource } from "../../core/routing.ts";
import type { View } from "../../core/view.ts";
import type { ViewSource } from "../../register/view-source.ts";

export class RoutedView {
  view: View | undefined;
  routing: Routing;
  /** Why nothing may be routed, or undefined. */
  mismatch: string | undefined;
  /** Partitions whose master must get no writes (suspended). */
  suspended: ReadonlySet<number> = new Set();
  readonly #source: ViewSource;
  readonly #routings: RoutingSource;
  readonly #tasks = new Set<() => void>();
  #judged: View | undefined;

  constructor(source: ViewSource, routings: RoutingSource) {
    this.#source = source;
    this.#routings = routings;
    const first = routings.of(undefined);
    if (isMismatch(first)) throw new Error("a routing source must have a routing without a view");
    this.routing = first;
    this.update();
  }

  /** Takes the source's present view. Returns true when the routing has changed. */
  update(): boolean {
    const view = this.#source.current();
    if (view === this.#judged) return false;
    this.#judged = view;
    this.suspended = suspendedOf(view);
    if (view === undefined) {
      this.view = this.mismatch = undefined;
      return false;
    }
    const found = this.#routings.of(view);
    if (isMismatch(found)) {
      this.mismatch = found.mismatch;
      this.view = found.isForeign ? undefined : withoutMasters(view);
      return false;
    }
    const isOther = found !== this.routing;
    this.mismatch = undefined;
    this.view = view;
    this.routing = found;
    return isOther;
  }

  /** Runs `task` at every change of the routing, after pipelines and connections have followed. The returned function ends
      that. */
  onSwap(task: () => void): () => void {
    this.#tasks.add(task);
    return () => this.#tasks.delete(task);
  }

  swapped(): void {
    for (const task of [...this.#tasks]) task();
  }

  /** True while a majority of the status nodes has confirmed the view within the lease. */
  isConfirmed(): boolean {
    return this.#source.isConfirmed();
  }
}

function suspendedOf(view: View | undefined): ReadonlySet<number> {
  const partitions = view?.partitions ?? [];
  return new Set(
    partitions.filter(({ suspended }) => suspended === true).map(({ index }) => index),
  );
}

function withoutMasters(view: View): View {
  return { ...view, partitions: view.partitions.map((part) => ({ ...part, master: null })) };
}
