// output.ts: a tool continues when its output is no longer read, or when the disk for it is full.
// `twine-up | head -1` closes the pipe after one line. A partly started cluster would be worse than unread lines.

export interface Output {
  /** The error with which output was lost; undefined for a closed pipe, whose reader wanted no more. */
  lost(): Promise<Error | undefined>;
}

/** From now on a failed write to standard output or standard error does not end the process. */
export function surviveClosedOutput(): Output {
  let lost: Error | undefined;
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      // A stream that failed once is destroyed, and fails at each further write.
      if (!["EPIPE", "ERR_STREAM_DESTROYED"].includes(error.code ?? "")) lost ??= error;
    });
  }
  return {
    lost: async () => {
      // A stream reports its last write's failure an event-loop tick later.
      await new Promise((done) => setImmediate(done));
      return lost;
    },
  };
}
