// gather.ts: asks several status nodes at once and ends as soon as the answers so far decide the question.
// One dead or slow node never delays the others; what it answers later is still shown to `onReply`, never to the judge.

/**
 * Asks every node. `judge` sees the replies and errors so far, after each of them, and answers undefined while it is
 * undecided; when all have answered it must decide.
 */
export function gather<N extends { readonly name: string }, R, T>(
  nodes: readonly N[],
  ask: (node: N) => Promise<R>,
  judge: (replies: ReadonlyMap<string, R>, errors: ReadonlyMap<string, string>) => T | undefined,
  onReply: (name: string, reply: R) => void = () => undefined,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const replies = new Map<string, R>();
    const errors = new Map<string, string>();
    let isDecided = false;
    const weigh = (): void => {
      if (isDecided) return;
      const verdict = judge(replies, errors);
      if (verdict !== undefined) {
        isDecided = true;
        resolve(verdict);
      } else if (replies.size + errors.size === nodes.length) {
        isDecided = true;
        reject(new Error("broken invariant: all answers decide a question"));
      }
    };
    if (nodes.length === 0) weigh();
    for (const node of nodes) {
      ask(node)
        .then(
          (reply) => {
            onReply(node.name, reply);
            if (!isDecided) replies.set(node.name, reply);
          },
          (error: unknown) => {
            const text = error instanceof Error ? error.message : String(error);
            if (!isDecided) errors.set(node.name, text);
          },
        )
        .then(weigh)
        .catch(reject);
    }
  });
}

/** Asks every node and waits for all: the replies of those that answered, and why the others did not. */
export function gatherAll<N extends { readonly name: string }, R>(
  nodes: readonly N[],
  ask: (node: N) => Promise<R>,
): Promise<{ replies: ReadonlyMap<string, R>; errors: ReadonlyMap<string, string> }> {
  return gather(nodes, ask, (replies, errors) =>
    replies.size + errors.size === nodes.length ? { replies, errors } : undefined,
  );
}
