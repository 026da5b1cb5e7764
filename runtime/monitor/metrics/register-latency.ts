// register-latency.ts: measures how long the status nodes take to answer, as a histogram. It wraps each acceptor.
import { Counter, Histogram, type Registry } from "prom-client";
import type { Clock } from "../../ports/clock.ts";
import type { Acceptor } from "../../register/register.ts";
import type { Metric } from "./exposition.ts";

/** From a tenth of a millisecond (a local status node) to longer than usual leases. */
const BUCKETS_SECONDS = [0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1];

const LATENCY: Metric = {
  name: "twine_register_latency_seconds",
  type: "histogram",
  labels: ["node", "operation"],
  help: "Time until a status node answered this monitor: prepare, accept, read or seed",
};

const ERRORS: Metric = {
  name: "twine_register_errors_total",
  type: "counter",
  labels: ["node", "operation"],
  help: "Questions of this monitor that a status node left without an answer",
};

export const REGISTER_METRICS: readonly Metric[] = [LATENCY, ERRORS];

/** The same acceptors, wrapped: their times and errors are recorded in `registry`, in two new metrics. */
export function timedAcceptors(
  acceptors: readonly Acceptor[],
  clock: Clock,
  registry: Registry,
): Acceptor[] {
  const registers = [registry];
  const latency = new Histogram({
    name: LATENCY.name,
    help: LATENCY.help,
    labelNames: [...LATENCY.labels],
    buckets: BUCKETS_SECONDS,
    registers,
  });
  const errors = new Counter({
    name: ERRORS.name,
    help: ERRORS.help,
    labelNames: [...ERRORS.labels],
    registers,
  });
  const timed = async <T>(node: string, operation: string, ask: () => Promise<T>): Promise<T> => {
    const sentAtMs = clock.nowMs();
    try {
      const answer = await ask();
      latency.observe({ node, operation }, (clock.nowMs() - sentAtMs) / 1000);
      return answer;
    } catch (error) {
      errors.inc({ node, operation });
      throw error;
    }
  };
  return acceptors.map((acceptor) => ({
    name: acceptor.name,
    prepare: (request) => timed(acceptor.name, "prepare", () => acceptor.prepare(request)),
    accept: (request) => timed(acceptor.name, "accept", () => acceptor.accept(request)),
    read: (withBody) => timed(acceptor.name, "read", () => acceptor.read(withBody)),
    seed: (request) => timed(acceptor.name, "seed", () => acceptor.seed(request)),
  }));
}
