// exposition-grammar.ts: reads Prometheus's text format strictly, as its documentation words it, so that a test fails
// on anything that a scraper might take differently: https://prometheus.io/docs/instrumenting/exposition_formats/
// Beyond the grammar it holds what Prometheus expects of a whole page: each family once, its samples together, no
// sample twice, HELP and TYPE before the first sample.

export interface ReadSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface ReadFamily {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: ReadSample[];
}

const NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*";
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"/y;
const VALUE = /^(?:[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|NaN|[+-]Inf)$/;

/** The families of a page by name. Throws with the line that breaks a rule. */
export function readExposition(text: string): Map<string, ReadFamily> {
  if (text !== "" && !text.endsWith("\n")) throw new Error("the last line has no line feed");
  const families = new Map<string, ReadFamily>();
  const seen = new Set<string>();
  let help: { name: string; text: string } | undefined;
  let open: ReadFamily | undefined;
  for (const [index, line] of text.split("\n").slice(0, -1).entries()) {
    const fail = (why: string): never => {
      throw new Error(`line ${index + 1}: ${why}: ${line}`);
    };
    if (line === "") continue;
    const comment = new RegExp(`^# (HELP|TYPE) (${NAME}) (.*)$`).exec(line);
    if (comment !== null) {
      const [, kind, name = "", rest = ""] = comment;
      if (kind === "HELP") {
        if (!/^(?:[^\\]|\\[\\n])*$/.test(rest)) fail("a backslash stands alone");
        help = { name, text: rest };
        continue;
      }
      if (!/^(counter|gauge|histogram|summary|untyped)$/.test(rest)) fail("an unknown type");
      if (families.has(name)) fail("a family stands twice");
      if (help?.name !== name) fail("TYPE without its HELP");
      open = { name, type: rest, help: help?.text ?? "", samples: [] };
      families.set(name, open);
      continue;
    }
    const sample = readSample(line) ?? fail("no sample");
    if (open === undefined || !isOf(open, sample)) fail("a sample outside its family");
    const key = `${sample.name} ${JSON.stringify(Object.entries(sample.labels).sort())}`;
    if (seen.has(key)) fail("a sample stands twice");
    seen.add(key);
    open?.samples.push(sample);
  }
  return families;
}

function isOf(family: ReadFamily, { name, labels }: ReadSample): boolean {
  if (family.type !== "histogram") return name === family.name;
  if (name === `${family.name}_bucket`) return "le" in labels;
  return name === `${family.name}_sum` || name === `${family.name}_count`;
}

function readSample(line: string): ReadSample | undefined {
  const start = new RegExp(`^(${NAME})(\\{)?`).exec(line);
  if (start === null) return undefined;
  const [whole, name = "", brace] = start;
  const labels: Record<string, string> = {};
  let at = whole.length;
  if (brace !== undefined) {
    for (;;) {
      LABEL.lastIndex = at;
      const found = LABEL.exec(line);
      if (found === null || (found[1] ?? "") in labels) return undefined;
      labels[found[1] ?? ""] = unescaped(found[2] ?? "");
      at = LABEL.lastIndex + 1;
      if (line[at - 1] === "}") break;
      if (line[at - 1] !== ",") return undefined;
    }
  }
  const rest = line.slice(at);
  if (!rest.startsWith(" ") || !VALUE.test(rest.slice(1))) return undefined;
  const value = rest.slice(1).replace("Inf", "Infinity");
  return { name, labels, value: Number(value) };
}

function unescaped(text: string): string {
  return text.replace(/\\(.)/g, (_, letter: string) => (letter === "n" ? "\n" : letter));
}
