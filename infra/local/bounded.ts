// bounded.ts: runs many tasks with a limit on how many run at once.

/** Runs `work` on every item, at most `limit` at a time; never rejects: each item has its own outcome, in order. */
export async function eachBounded<T>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<void>,
): Promise<PromiseSettledResult<void>[]> {
  const outcomes: PromiseSettledResult<void>[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++) {
      const item = items[index];
      if (item === undefined) continue;
      outcomes[index] = await work(item).then(
        () => ({ status: "fulfilled", value: undefined }),
        (reason: unknown) => ({ status: "rejected", reason }),
      );
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  return outcomes;
}

/** The errors of the failed ones. */
export function failuresOf(outcomes: readonly PromiseSettledResult<void>[]): Error[] {
  return outcomes
    .filter((outcome) => outcome.status === "rejected")
    .map(({ reason }) => (reason instanceof Error ? reason : new Error(String(reason))));
}
