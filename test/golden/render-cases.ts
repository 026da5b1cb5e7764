// render-cases.ts: the golden cases, each a twine.conf, as the plan and the files that come of it.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { completeConfig } from "../../runtime/core/conf/complete.ts";
import { parseConf } from "../../runtime/core/conf/parse.ts";
import type { ClusterConfig } from "../../runtime/core/cluster.ts";
import { TwineError } from "../../runtime/core/errors.ts";
import { planCluster } from "../../infra/plan/plan-cluster.ts";
import type { Plan } from "../../infra/plan/plan.ts";
import { renderFile } from "../../infra/render/render-file.ts";

export const CASES_FOLDER = join(import.meta.dirname, "cases");

export const TEMPLATES: ReadonlyMap<string, string> = new Map(
  readdirSync(join(import.meta.dirname, "../../templates"))
    .filter((name) => name.endsWith(".hbs"))
    .map((name) => [
      name,
      readFileSync(join(import.meta.dirname, "../../templates", name), "utf8"),
    ]),
);

export interface GoldenCase {
  readonly name: string;
  readonly password?: string;
  /** Which rendered files are kept whole; of all others the digest alone. */
  readonly isKeptWhole: (path: string) => boolean;
}

const all = (): boolean => true;

export const CASES: readonly GoldenCase[] = [
  { name: "one-partition", isKeptWhole: all },
  { name: "shipped", isKeptWhole: all },
  { name: "sixty-four", isKeptWhole: (path) => /\/(b4200|c5263)\//.test(path) },
  { name: "three-hosts", isKeptWhole: all, password: "not-a-secret" },
  { name: "twemproxy-sentinel", isKeptWhole: all },
  { name: "twemproxy-password", isKeptWhole: all, password: "not-a-secret" },
];

/** Reads a twine.conf's text; throws its problems. */
export function configOf(text: string, file = "twine.conf"): ClusterConfig {
  const parsed = parseConf(text, file);
  if (parsed.config === undefined) throw new TwineError(parsed.errors);
  return completeConfig(parsed.config).config;
}

export interface RenderedFile {
  /** HOST/NAME/redis.conf */
  readonly path: string;
  readonly text: string;
  readonly mode: number;
}

export function renderCase({ name, password }: GoldenCase): {
  plan: Plan;
  files: readonly RenderedFile[];
} {
  const text = readFileSync(join(CASES_FOLDER, name, "twine.conf"), "utf8");
  const plan = planCluster(configOf(text), {
    confPath: "/srv/twine.conf",
    hasPassword: password !== undefined,
  });
  const files = plan.hosts.flatMap((host) =>
    host.files.map((file) => ({
      path: `${host.name}/${file.path}`,
      text: renderFile(file, TEMPLATES, password),
      mode: file.mode,
    })),
  );
  return { plan, files };
}
