// progress.ts: shows progress while many processes start or stop: a counting line on a terminal, plain lines elsewhere,
// nothing with --json.
import { Listr } from "listr2";
import { formatProblem, type Problem } from "../../runtime/core/errors.ts";

export interface Stage {
  /** One more item is done. */
  item(name: string, what: string): void;
  /** No more items follow, because all are done or because of an error. */
  end(error?: unknown): Promise<void>;
}

export interface Progress {
  stage(title: string, total: number): Stage;
  /** A sentence for the user, e.g. why it takes long. */
  note(text: string): void;
}

export const silentProgress: Progress = {
  stage: () => ({ item: () => undefined, end: () => Promise.resolve() }),
  note: () => undefined,
};

/** Prints on standard error what failed while the rest continued. */
export function printProblems(problems: readonly Problem[]): void {
  for (const problem of problems) process.stderr.write(`error: ${formatProblem(problem)}\n`);
}

/** One line per finished item. */
export function plainProgress(write: (line: string) => void): Progress {
  return {
    stage: () => ({
      item: (name, what) => {
        write(`${name}: ${what}`);
      },
      end: () => Promise.resolve(),
    }),
    note: write,
  };
}

/** One line per stage, with a count, on a terminal. listr2 respects NO_COLOR. */
export function terminalProgress(write: (line: string) => void): Progress {
  return { stage: terminalStage, note: write };
}

function terminalStage(title: string, total: number): Stage {
  let done = 0;
  let showCount: (() => void) | undefined;
  let finish: (error?: unknown) => void = () => undefined;
  const finished = new Promise<void>((resolve, reject) => {
    finish = (error) => {
      if (error === undefined) resolve();
      else reject(error instanceof Error ? error : new Error("stopped"));
    };
  });
  const list = new Listr(
    [
      {
        title,
        task: (_context, task) => {
          showCount = () => {
            task.title = `${title} ${done}/${total}`;
          };
          showCount();
          return finished;
        },
      },
    ],
    // The tool prints the error once, with its remedy.
    {
      exitOnError: true,
      rendererOptions: { showErrorMessage: false },
      registerSignalListeners: false,
    },
  );
  const run = list.run().catch(() => undefined);
  return {
    item: () => {
      done++;
      showCount?.();
    },
    end: async (error) => {
      finish(error);
      await run;
    },
  };
}
