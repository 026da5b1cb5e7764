// tool.ts: what every Twine tool shares: options, finding twine.conf, errors, exit codes.
import "./node-version.ts";
import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, resolve } from "node:path";
import { Command, CommanderError } from "commander";
import type { ClusterConfig } from "../core/cluster.ts";
import { EXIT, TwineError, formatProblem, type Problem } from "../core/errors.ts";
import { parseConf } from "../core/conf/parse.ts";
import { completeConfig } from "../core/conf/complete.ts";
import { packageRoot } from "./package-root.ts";

export interface ToolOptions {
  readonly conf?: string;
  readonly dir?: string;
  readonly json?: boolean;
}

export interface ToolText {
  /** The Twine name, e.g. "twine-hash"; shown as roma-hash when called so. */
  readonly name: string;
  readonly summary: string;
  /** Lines of the form "$ command", shown below --help. */
  readonly examples: readonly string[];
  /** What --dir means, where it is not what it is for the others. */
  readonly dir?: string;
  /** code -> meaning; 0, 1 and 2 are added. */
  readonly exitCodes?: Readonly<Record<number, string>>;
}

/** The name the tool was called by, when that is one of its two names. */
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
    .option("--conf <file>", "the cluster's file (else $TWINE_CONF, ./twine.conf, ./roma.conf)")
    .option("--dir <folder>", text.dir ?? "where to write (else the folder of twine.conf)")
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

/** The cluster's file: --conf, else TWINE_CONF, else ./twine.conf, else ./roma.conf. Throws CONF_MISSING. */
export function findConf(options: ToolOptions, env = process.env): string {
  // An empty --conf is a script's unset variable: it must not quietly mean another file.
  const named = options.conf ?? (env["TWINE_CONF"] === "" ? undefined : env["TWINE_CONF"]);
  if (named !== undefined) {
    if (named !== "" && statSync(named, { throwIfNoEntry: false })?.isFile() === true) {
      return resolve(named);
    }
    throw new TwineError({
      code: "CONF_MISSING",
      message: existsSync(named)
        ? `${named} is no file`
        : `${named === "" ? '""' : named}: there is no such file`,
      remedy: "name an existing file with --conf or TWINE_CONF",
    });
  }
  const found = ["twine.conf", "roma.conf"].find((file) => existsSync(file));
  if (found !== undefined) return resolve(found);
  throw new TwineError({
    code: "CONF_MISSING",
    message: `there is neither twine.conf nor roma.conf in ${process.cwd()}`,
    remedy: "go to the folder that holds it, or name it with --conf FILE or TWINE_CONF",
  });
}

export interface LoadedConf {
  readonly config: ClusterConfig;
  readonly warnings: readonly Problem[];
}

/** Reads, parses and completes the cluster's file. Throws a TwineError with every problem in it. */
export function loadConf(options: ToolOptions): LoadedConf {
  const file = findConf(options);
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
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

/** The cluster's password, from the file that TWINE_PASSWORD_FILE names; undefined without one. */
export function readPassword(env = process.env): string | undefined {
  const file = env["TWINE_PASSWORD_FILE"];
  if (file === undefined || file === "") return undefined;
  let password: string;
  try {
    password = readFileSync(file, "utf8").trim();
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new TwineError(
      {
        code: "PASSWORD_UNREADABLE",
        message: `TWINE_PASSWORD_FILE: ${why}`,
        remedy: "let it name a readable file that holds the password on one line",
      },
      { cause },
    );
  }
  if (password !== "" && !/\s/.test(password)) return password;
  throw new TwineError({
    code: "PASSWORD_BAD",
    message: `the file ${file} named by TWINE_PASSWORD_FILE holds no password, or one with white space in it`,
    remedy: "write one word on one line",
  });
}

/** Prints warnings on standard error, one line each. */
export function printWarnings(warnings: readonly Problem[]): void {
  for (const warning of warnings) process.stderr.write(`warning: ${formatProblem(warning)}\n`);
}

/** Runs a tool's main part and ends the process with its exit code; errors become text (or JSON) on standard error. */
export async function runTool(main: () => Promise<number>): Promise<void> {
  try {
    process.exitCode = await main();
  } catch (error) {
    process.exitCode = reportError(error);
  }
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
    // commander has printed help and version itself; usage errors are ours to print.
    if (error.exitCode === 0) return EXIT.ok;
    const message = error.message.replace(/^error: /, "");
    reportProblems([{ code: "USAGE", message, remedy: "see --help" }]);
    return EXIT.usage;
  }
  if (error instanceof TwineError) {
    reportProblems(error.problems);
    return error.exitCode;
  }
  process.stderr.write(
    `${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  );
  return EXIT.failure;
}
