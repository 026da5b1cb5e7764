// tool.ts: shared by all Twine tools: options, finding twine.conf, errors, exit codes.
import "./node-version.ts";
import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, resolve } from "node:path";
import { Command, CommanderError } from "commander";
import type { ClusterConfig } from "../core/cluster.ts";
import type { Secret } from "../core/credentials.ts";
import { EXIT, TwineError, formatProblem, type Problem } from "../core/errors.ts";
import { parseConf } from "../core/conf/parse.ts";
import { requireTwinesMonitors } from "../core/not-with-sentinel.ts";
import { completeConfig } from "../core/conf/complete.ts";
import { explain } from "./explain.ts";
import { surviveClosedOutput } from "./output.ts";
import { packageRoot, twineHome } from "./package-root.ts";
import { readPassword } from "./password-file.ts";
import { CONF_BYTES_MAX, readSmallFile } from "../ports/small-file.ts";
import { errorText } from "../core/error-text.ts";

export { readPassword };

export interface ToolOptions {
  readonly conf?: string;
  readonly dir?: string;
  readonly json?: boolean;
}

export interface ToolText {
  /** The Twine name, e.g. "twine-hash"; shown as roma-hash when called by that name. */
  readonly name: string;
  readonly summary: string;
  /** Lines of the form "$ command", shown below --help. */
  readonly examples: readonly string[];
  /** The meaning of --dir, if it differs from that of the other tools. */
  readonly dir?: string;
  /** code -> meaning; 0, 1 and 2 are added. */
  readonly exitCodes?: Readonly<Record<number, string>>;
}

/** The name by which the tool was called, if it is one of its two names. */
export function calledName(name: string): string {
  const called = basename(process.argv[1] ?? "").replace(/\.(js|ts)$/, "");
  const roma = name.replace(/^twine/, "roma");
  return called === roma || called === "romad" ? called : name;
}

/** A commander program with --conf, --dir, --json, --version, and --help that ends with examples and exit codes. */
export function tool(text: ToolText): Command {
  const name = calledName(text.name);
  const codes = {
    0: "done",
    1: "it failed; the error says why",
    2: "wrong usage",
    ...text.exitCodes,
  };
  const command = new Command(name)
    .description(text.summary)
    .option(
      "--conf <file>",
      "the cluster's file (default: $TWINE_CONF, ./twine.conf or ./roma.conf)",
    )
    .option(
      "--dir <folder>",
      text.dir ?? "the folder that holds partitions/ (default: the folder of twine.conf)",
    )
    .option("--json", "machine-readable output")
    .version(twineVersion(), "--version")
    .exitOverride()
    .showHelpAfterError(false)
    .configureOutput({ outputError: () => undefined });
  const examples = text.examples.map((line) => `  ${line.replaceAll("twine", romaAware(name))}`);
  const table = Object.entries(codes).map(([code, meaning]) => `  ${code.padStart(3)}  ${meaning}`);
  return command.addHelpText(
    "after",
    `\nExamples:\n${examples.join("\n")}\n\nExit codes:\n${table.join("\n")}`,
  );
}

function romaAware(name: string): string {
  return name.startsWith("roma") ? "roma" : "twine";
}

/** The version in Twine's own package.json. */
export function twineVersion(): string {
  const text = readFileSync(`${packageRoot()}/package.json`, "utf8");
  return (JSON.parse(text) as { version: string }).version;
}

/** The cluster's file: --conf, otherwise TWINE_CONF, ./twine.conf or ./roma.conf. Throws CONF_MISSING. */
export function findConf(options: ToolOptions, env = process.env): string {
  // An empty --conf is a script's unset variable: it must not silently select another file.
  const named = options.conf ?? (env["TWINE_CONF"] === "" ? undefined : env["TWINE_CONF"]);
  if (named !== undefined) {
    if (named !== "" && statSync(named, { throwIfNoEntry: false })?.isFile() === true) {
      return resolve(named);
    }
    throw new TwineError({
      code: "CONF_MISSING",
      message: existsSync(named)
        ? `${named} is not a file`
        : `${named === "" ? '""' : named}: there is no such file`,
      remedy: "name an existing file with --conf or TWINE_CONF",
    });
  }
  const found = ["twine.conf", "roma.conf"].find((file) => existsSync(file));
  if (found !== undefined) return resolve(found);
  throw new TwineError({
    code: "CONF_MISSING",
    message: `there is neither twine.conf nor roma.conf in ${process.cwd()}`,
    remedy: "change to the folder that holds it, or name it with --conf FILE or TWINE_CONF",
  });
}

export interface LoadedConf {
  readonly config: ClusterConfig;
  readonly warnings: readonly Problem[];
}

export interface StartedTool<Options> extends LoadedConf {
  readonly options: Options;
  readonly isJson: boolean;
  /** Used by every tool that works on this machine's processes. */
  readonly request: {
    readonly config: ClusterConfig;
    readonly dir: string | undefined;
    readonly password: Secret | undefined;
    readonly home: ReturnType<typeof twineHome>;
  };
}

/** Parses the command line, loads the cluster's file and reads its password. Throws like loadConf and readPassword. */
export function startTool<Options extends ToolOptions>(program: Command): StartedTool<Options> {
  program.parse();
  const options = program.opts<Options>();
  const { config, warnings } = loadConf(options);
  const request = { config, dir: options.dir, password: readPassword(), home: twineHome() };
  return { options, isJson: options.json === true, config, warnings, request };
}

/** Reads, parses and completes the cluster's file. Throws a TwineError with every problem in it. */
export function loadConf(options: ToolOptions): LoadedConf {
  const file = findConf(options);
  let text: string;
  try {
    ({ text } = readSmallFile(file, CONF_BYTES_MAX));
  } catch (cause) {
    const why = errorText(cause);
    throw new TwineError(
      { code: "CONF_UNREADABLE", message: `${file}: ${why}`, remedy: "make it a readable file" },
      { cause },
    );
  }
  const parsed = parseConf(text, file);
  if (parsed.config === undefined) throw new TwineError(parsed.errors);
  const completed = completeConfig(parsed.config);
  return { config: completed.config, warnings: [...parsed.warnings, ...completed.warnings] };
}

/** The same, for a tool that works with Twine's own monitors. Throws NOT_WITH_SENTINEL. */
export function loadTwinesConf(options: ToolOptions, what: string, instead: string): LoadedConf {
  const loaded = loadConf(options);
  requireTwinesMonitors(loaded.config, what, instead);
  return loaded;
}

/** Prints warnings on standard error, one line each. */
export function printWarnings(warnings: readonly Problem[]): void {
  for (const warning of warnings) process.stderr.write(`warning: ${formatProblem(warning)}\n`);
}

/** Runs a tool's main part and ends the process with its exit code; errors become text (or JSON) on standard error. */
export async function runTool(main: () => Promise<number>): Promise<void> {
  const output = surviveClosedOutput();
  try {
    process.exitCode = await main();
  } catch (error) {
    process.exitCode = reportError(error);
  }
  // The work is done, but its output is lost: a script must not take this for success.
  const lost = await output.lost();
  if (lost === undefined || process.exitCode !== EXIT.ok) return;
  process.exitCode = reportError(lost);
}

function reportProblems(problems: readonly Problem[]): void {
  if (process.argv.includes("--json")) {
    process.stderr.write(`${JSON.stringify({ errors: problems })}\n`);
    return;
  }
  for (const problem of problems) process.stderr.write(`error: ${formatProblem(problem)}\n`);
}

function reportError(error: unknown): number {
  if (error instanceof CommanderError) {
    // commander has printed help and version itself; usage errors are printed here.
    if (error.exitCode === 0) return EXIT.ok;
    const message = error.message.replace(/^error: /, "");
    reportProblems([{ code: "USAGE", message, remedy: "see --help" }]);
    return EXIT.usage;
  }
  if (error instanceof TwineError) {
    reportProblems(error.problems);
    return error.exitCode;
  }
  const known = explain(error);
  if (known !== undefined) {
    reportProblems([known]);
    return EXIT.failure;
  }
  process.stderr.write(
    `${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  );
  return EXIT.failure;
}
