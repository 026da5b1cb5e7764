// exposition.ts: metrics as text for Prometheus. Pure.
// https://prometheus.io/docs/instrumenting/exposition_formats/ (version 0.0.4): all samples of a family are together.
// A cluster of thousands of nodes has hundreds of thousands of samples, and the monitor must renew its lease meanwhile. So
// the text comes in slices, and the caller can let other work run between two of them.

export type Labels = Readonly<Record<string, string>>;

export interface Sample {
  readonly labels: Labels;
  readonly value: number;
}

/** One metric, with the texts of docs/metrics.md. */
export interface Metric {
  readonly name: string;
  readonly type: "gauge" | "counter" | "histogram";
  /** The names of its labels, in the order of the text. */
  readonly labels: readonly string[];
  /** A description without a full stop. */
  readonly help: string;
}

export interface Family {
  readonly metric: Metric;
  readonly samples: readonly Sample[];
}

export const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

const SLICE_SAMPLES = 1000;

/** The text of all families in slices of at most a thousand samples; families without a sample are left out. */
export function* expositionOf(families: Iterable<Family>): Generator<string> {
  let lines: string[] = [];
  for (const { metric, samples } of families) {
    if (samples.length === 0) continue;
    lines.push(`# HELP ${metric.name} ${metric.help.replace(/\\/g, "\\\\").replace(/\n/g, "\\n")}`);
    lines.push(`# TYPE ${metric.name} ${metric.type}`);
    for (const { labels, value } of samples) {
      lines.push(`${metric.name}${labelText(labels)} ${numberText(value)}`);
      if (lines.length < SLICE_SAMPLES) continue;
      yield `${lines.join("\n")}\n`;
      lines = [];
    }
  }
  if (lines.length > 0) yield `${lines.join("\n")}\n`;
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escaped(value: string): string {
  return /["\\\n]/.test(value)
    ? value.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n")
    : value;
}

function numberText(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
}
