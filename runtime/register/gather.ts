// gather.ts: sends a request to several status nodes and resolves as soon as the replies so far decide the result.
// A dead or slow node never delays the others. Its late reply still goes to `onReply`, but never to `judge`.
import { failureOf, type NodeFailure } from "../core/failure.ts";

/** Node name -> why the request failed. */
export type Failures = ReadonlyMap<string, NodeFailure>;

/**
 * Sends the request to every node. After each reply or failure, `judge` gets all of them so far and returns undefined
 * while the result is open. When all have arrived it must return a result.
 */
export function gather<N extends { readonly name: string }, R, T>(
  nodes: readonly N[],
  ask: (node: N) => Promise<R>,
  judge: (replies: ReadonlyMap<string, R>, failures: Failures) => T | undefined,
  onReply: (name: string, reply: R) => void = () => undefined,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const replies = new Map<string, R>();
    const failures = new Map<string, NodeFailure>();
    let isDecided = false;
    const weigh = (): void => {
      if (isDecided) return;
      const verdict = judge(replies, failures);
      if (verdict !== undefined) {
        isDecided = true;
        resolve(verdict);
      } else if (replies.size + failures.size === nodes.length) {
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
            if (!isDecided) failures.set(node.name, failureOf(node.name, error));
          },
        )
        .then(weigh)
        .catch(reject);
    }
  });
}

/** Sends the request to every node and awaits all of them: the replies, and the failures of the other nodes. */
export function gatherAll<N extends { readonly name: string }, R>(
  nodes: readonly N[],
  ask: (node: N) => Promise<R>,
): Promise<{ replies: ReadonlyMap<string, R>; failures: Failures }> {
  return gather(nodes, ask, (replies, failures) =>
    replies.size + failures.size === nodes.length ? { replies, failures } : undefined,
  );
}

/** `s1: WHY`, for display. */
export function failureText({ node, cause }: NodeFailure): string {
  return `${node}: ${cause.message}`;
}
