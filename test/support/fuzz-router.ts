// fuzz-router.ts: hostile clients against a router while honest ones work, and what must hold all the time: whatever
// comes back is RESP, nobody gets what belongs to another, and the honest ones get exactly their replies.
import { connect, type Socket } from "node:net";
import { encodeCommand } from "../../runtime/resp/encode.ts";
import { ReplyScanner } from "../../runtime/resp/reply-scanner.ts";
import { fuzzInput, MARK, markOf } from "./fuzz-inputs.ts";
import { seededRandom, type SeededRandom } from "./seeded-random.ts";

export interface FuzzOptions {
  readonly port: number;
  readonly seed: number;
  readonly inputs: number;
  /** Hostile clients at a time. */
  readonly hostile: number;
  readonly honest: number;
}

export interface FuzzReport {
  inputs: number;
  connections: number;
  replies: number;
  errors: number;
  protocolErrors: number;
  /** Connections that the router did not end by itself in time, e.g. while a command was awaited. */
  cutOff: number;
  honestReplies: number;
}

/** How long a router may take to end a connection whose client has ended its side. */
const END_MS = 10_000;

/** Throws with the seed's story when something does not hold. */
export async function fuzzRouter(options: FuzzOptions): Promise<FuzzReport> {
  const report: FuzzReport = {
    ...{ inputs: 0, connections: 0, replies: 0, errors: 0, protocolErrors: 0 },
    ...{ cutOff: 0, honestReplies: 0 },
  };
  let isOver = false;
  const honest = Array.from({ length: options.honest }, (_, index) =>
    workHonestly(options, index, report, () => isOver),
  );
  const hostile = Array.from({ length: options.hostile }, async (_, index) => {
    const random = seededRandom(options.seed * 1000 + index);
    while (report.inputs < options.inputs) await attack(options.port, random, report);
  });
  try {
    await Promise.all(hostile);
  } finally {
    isOver = true;
    await Promise.all(honest);
  }
  return report;
}

/** One connection: some inputs in pieces, the end, and all that came back. */
async function attack(port: number, random: SeededRandom, report: FuzzReport): Promise<void> {
  const mark = markOf(random);
  const wild = random.isOnceIn(2);
  const count = 1 + random.below(60);
  const inputs = Array.from({ length: count }, () => fuzzInput(random, mark, wild));
  report.inputs += inputs.length;
  report.connections++;
  const sent = Buffer.concat(inputs);
  const { received, isCutOff } = await exchange(port, sent, random);
  if (isCutOff) report.cutOff++;
  checkReplies(received, mark, report, sent);
}

function exchange(
  port: number,
  bytes: Buffer,
  random: SeededRandom,
): Promise<{ received: Buffer; isCutOff: boolean }> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
    const chunks: Buffer[] = [];
    let isCutOff = false;
    const timer = setTimeout(() => {
      isCutOff = true;
      socket.destroy();
    }, END_MS);
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    // A router may reset a connection whose client sends on; a router that is gone refuses.
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED") reject(error);
    });
    socket.on("end", () => socket.end());
    socket.on("close", () => {
      clearTimeout(timer);
      resolve({ received: Buffer.concat(chunks), isCutOff });
    });
    const goOn = (from: number): void => {
      if (!socket.writable) return;
      if (from >= bytes.length) {
        if (random.isOnceIn(20)) socket.destroy();
        else socket.end();
        return;
      }
      const to = random.isOnceIn(3) ? from + 1 + random.below(40) : bytes.length;
      socket.write(bytes.subarray(from, to));
      setImmediate(goOn, to);
    };
    socket.on("connect", () => {
      goOn(0);
    });
  });
}

function checkReplies(received: Buffer, mark: string, report: FuzzReport, sent: Buffer): void {
  const story = (what: string): Error =>
    new Error(`${what}\n  sent ${JSON.stringify(sent.toString("latin1").slice(0, 3000))}
  received ${JSON.stringify(received.toString("latin1").slice(0, 3000))}`);
  const text = received.toString("latin1");
  for (const [found] of text.matchAll(MARK)) {
    // A mutation may have changed the mark that was sent: then it is this client's all the same.
    if (found !== mark && !sent.includes(found))
      throw story(`another client's ${found} of ${mark}`);
  }
  const scanner = new ReplyScanner();
  scanner.push(received);
  try {
    for (let raw = scanner.next(); raw !== undefined; raw = scanner.next()) {
      report.replies++;
      if (raw[0] === "-".charCodeAt(0)) report.errors++;
      if (raw.includes("Protocol error")) report.protocolErrors++;
    }
  } catch (error) {
    throw story(`what came back is no RESP: ${String(error)}`);
  }
}

/** A client that keeps to the rules: pipelines on keys of its own, each reply compared with what it must be. */
async function workHonestly(
  { port, seed }: FuzzOptions,
  index: number,
  report: FuzzReport,
  isOver: () => boolean,
): Promise<void> {
  const random = seededRandom(seed * 7919 + index);
  const mark = markOf(random);
  const values = new Map<string, string>();
  const socket = connect({ host: "127.0.0.1", port });
  const incoming = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  const scanner = new ReplyScanner();
  while (!isOver()) {
    const steps = Array.from({ length: 1 + random.below(50) }, () =>
      honestStep(random, mark, values),
    );
    socket.write(Buffer.concat(steps.map(({ args }) => encodeCommand(args))));
    for (const { args, expected } of steps) {
      let raw = scanner.next();
      while (raw === undefined) {
        const next = await incoming.next();
        if (next.done === true) throw new Error("an honest client's connection was closed");
        scanner.push(next.value);
        raw = scanner.next();
      }
      report.honestReplies++;
      const got = raw.toString("latin1");
      if (got === expected) continue;
      throw new Error(
        `${args.join(" ").slice(0, 200)}: ${got.slice(0, 200)} instead of ${expected}`,
      );
    }
  }
  socket.destroy();
}

const bulkOf = (value: string | undefined): string =>
  value === undefined ? "$-1\r\n" : `$${value.length}\r\n${value}\r\n`;

function honestStep(
  random: SeededRandom,
  mark: string,
  values: Map<string, string>,
): { readonly args: readonly string[]; readonly expected: string } {
  const key = (): string => `${mark}${random.below(30)}`;
  const [one, two, three] = [key(), key(), key()];
  switch (random.below(4)) {
    case 0: {
      const value = `${mark}${random.below(1000)}`.repeat(random.isOnceIn(40) ? 500 : 1);
      values.set(one, value);
      return { args: ["SET", one, value], expected: "+OK\r\n" };
    }
    case 1: {
      const found = [one, two, three].map((name) => bulkOf(values.get(name)));
      return { args: ["MGET", one, two, three], expected: `*3\r\n${found.join("")}` };
    }
    case 2:
      return { args: ["ECHO", one], expected: bulkOf(one) };
    default:
      return { args: ["GET", one], expected: bulkOf(values.get(one)) };
  }
}
