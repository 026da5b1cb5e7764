// twine.conf for all configs and all texts: parse and print are inverse, order means nothing,
// nothing throws.
import { STACK_DEFAULTS } from "../../runtime/core/conf/stack-directives.ts";
import fc from "fast-check";
import { isBackupPlace } from "../../runtime/core/backup-place.ts";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { ClusterConfig, RouterSettings, ClusterNode } from "../../runtime/core/cluster.ts";
import { completeConfig } from "../../runtime/core/conf/complete.ts";
import { confDigest } from "../../runtime/core/conf/digest.ts";
import { BUILTIN_HASHES } from "../../runtime/core/conf/hash-setting.ts";
import { parseConf } from "../../runtime/core/conf/parse.ts";
import { printConf } from "../../runtime/core/conf/print.ts";
import { byName } from "../../runtime/core/natural-order.ts";

const at = { file: "twine.conf", line: 1, column: 1 };
const name = fc.stringMatching(/^[abcXYZ019._-]{1,12}$/).filter((text) => !/^\.+$/.test(text));
const host = fc.constantFrom("localhost", "db1", "db-2.example.com", "10.0.0.7", "fe80::7");
const freeText = fc
  .string({ unit: "grapheme", minLength: 1, maxLength: 20 })
  .filter((text) => !/\p{Cc}|\p{Cs}|[\u2028\u2029]/u.test(text));

/** One port for each node, so that none clashes; kinds and partitions as drawn. */
const nodes = fc
  .record({
    partitions: fc.integer({ min: 1, max: 5 }),
    replicas: fc.integer({ min: 0, max: 2 }),
    db: fc.integer({ min: 0, max: 15 }),
    others: fc.array(fc.constantFrom("status", "monitor", "sentinel", "router", "stats"), {
      maxLength: 8,
    }),
    hosts: fc.infiniteStream(host),
    names: fc.uniqueArray(name, { minLength: 23, maxLength: 23 }),
    firstPort: fc.integer({ min: 1, max: 65_000 }),
  })
  .map(({ partitions, replicas, db, others, hosts, names, firstPort }) => {
    const made: ClusterNode[] = [];
    const base = (): { name: string; host: string; port: number; at: typeof at } => ({
      name: `n${names[made.length] ?? ""}`,
      host: String(hosts.next().value),
      port: firstPort + 2 * made.length,
      at,
    });
    for (let partition = 0; partition < partitions; partition++) {
      for (let copy = 0; copy <= replicas; copy++) {
        made.push({ kind: "data", ...base(), partition, db });
      }
    }
    for (const kind of others) {
      const { port } = base();
      if (kind === "sentinel") made.push({ kind: "monitor", ...base(), sentinelPort: port + 1 });
      else if (kind === "stats") made.push({ kind: "router", ...base(), statsPort: port + 1 });
      else if (kind === "status") made.push({ kind, ...base(), db });
      else made.push({ kind: kind === "monitor" ? "monitor" : "router", ...base() });
    }
    return { made, partitions, replicas };
  });

const redisLine = fc.constantFrom(
  { name: "maxmemory", value: "256mb", at },
  { name: "save", value: '""', at },
  { name: "save", value: "60  1", at },
  { name: "proc-title-template", value: '"{title} # {listen-addr}"', at },
  { name: "appendonly", value: "yes", at },
);

const routerSettings = fc
  .record({
    maxClients: fc.integer({ min: 1, max: 1_000_000 }),
    commandBytesMax: fc.integer({ min: 16_384, max: 1024 ** 3 }),
    commandArgsMax: fc.integer({ min: 16, max: 10_000_000 }),
    outputBytesMax: fc.integer({ min: 65_536, max: 1024 ** 4 }),
    outputTotalBytesMax: fc.integer({ min: 65_536, max: 1024 ** 4 }),
    idleTimeoutMs: fc.integer({ min: 0, max: 86_400_000 }),
    tcpKeepaliveMs: fc.integer({ min: 0, max: 86_400_000 }),
    drainForMs: fc.integer({ min: 0, max: 3_600_000 }),
    usersFile: fc.option(freeText, { nil: undefined }),
    tlsFiles: fc.option(fc.tuple(freeText, freeText, freeText), { nil: undefined }),
    tlsAuthClients: fc.constantFrom("no", "optional", "yes"),
    tlsPlain: fc.constantFrom("local", "all"),
    tlsNodes: fc.constantFrom("no", "yes"),
  })
  .map(({ usersFile, tlsFiles, ...rest }): RouterSettings => {
    const [tlsCert = "", tlsKey = "", tlsCa = ""] = tlsFiles ?? [];
    return {
      ...rest,
      ...(usersFile === undefined ? {} : { usersFile }),
      // Clients' certificates are asked for with files alone.
      ...(tlsFiles === undefined ? { tlsAuthClients: "no" } : { tlsCert, tlsKey, tlsCa }),
    };
  });

const config: fc.Arbitrary<ClusterConfig> = nodes.chain(({ made, partitions, replicas }) =>
  fc
    .record({
      cluster: name,
      router: routerSettings,
      hash: fc.oneof(
        fc
          .constantFrom(...BUILTIN_HASHES)
          .map((hash) => ({ kind: "builtin", name: hash }) as const),
        freeText.map((text) => ({ kind: "module", path: `./${text}.mjs` }) as const),
        freeText.map((text) => ({ kind: "executable", path: `./${text}/hash` }) as const),
      ),
      tag: fc.option(fc.string({ unit: "grapheme-ascii", minLength: 2, maxLength: 2 }), {
        nil: undefined,
      }),
      redis: fc.array(redisLine, { maxLength: 4 }),
      leaseMs: fc.integer({ min: 50, max: 60_000 }),
      moreMs: fc.integer({ min: 0, max: 3_000_000 }),
      ackReplicas: fc.integer({ min: 0, max: replicas }),
      ackTimeoutMs: fc.integer({ min: 1, max: 3_600_000 }),
      readFrom: fc.constantFrom("master", "replica"),
      holdForMs: fc.integer({ min: 0, max: 3_600_000 }),
      holdBytes: fc.integer({ min: 1024, max: 1024 ** 4 }),
      retryUnknown: fc.constantFrom("reads", "idempotent"),
      workers: fc.integer({ min: 1, max: 256 }),
      backupDirs: fc.uniqueArray(
        fc.oneof(freeText.filter(isBackupPlace), fc.constant("s3://bucket/some/prefix")),
        { maxLength: 3 },
      ),
      backupEveryMs: fc.integer({ min: 1000, max: 2_073_600_000 }),
      backupKeep: fc.oneof(
        fc.record({ kind: fc.constant("last" as const), count: fc.integer({ min: 1, max: 1000 }) }),
        fc.record({
          kind: fc.constant("periods" as const),
          hours: fc.integer({ min: 0, max: 1000 }),
          days: fc.integer({ min: 1, max: 1000 }),
          weeks: fc.integer({ min: 0, max: 1000 }),
        }),
      ),
      backupCompress: fc.constantFrom("none", "zstd"),
      backupArchive: fc.constantFrom("no" as const, "yes" as const),
      backupCutEveryMs: fc.integer({ min: 1000, max: 86_400_000 }),
      backupKey: fc.option(freeText, { nil: undefined }),
      alertMail: fc.uniqueArray(
        name.map((text) => `${text}@example.com`),
        { maxLength: 3 },
      ),
      alertSmtp: fc.constantFrom(
        "smtp://localhost:25",
        "smtps://mail.example.com",
        "smtp://[::1]:25/",
        "smtp://joe%40example.com@[::1]:587",
      ),
      alertAfterMs: fc.integer({ min: 0, max: 604_800_000 }),
      httpHosts: fc.uniqueArray(fc.constantFrom("a.example", "status", "x_1"), { maxLength: 1 }),
      // monit would share a port with a node.
      supervisor: fc.constantFrom("none" as const, "systemd" as const),
      monitEveryMs: fc.integer({ min: 1, max: 3_600 }).map((seconds) => seconds * 1000),
      monitPort: fc.integer({ min: 1, max: 65_535 }),
    })
    .map(({ tag, moreMs, router, backupKey, ...rest }): ClusterConfig => ({
      file: "twine.conf",
      nodes: made,
      settings: {
        ...rest,
        ...router,
        // They ask for other nodes; conf-stack.test.ts has them.
        ...STACK_DEFAULTS,
        readFrom: rest.readFrom,
        retryUnknown: rest.retryUnknown,
        partitions,
        downAfterMs: rest.leaseMs + moreMs,
        ...(tag === undefined ? {} : { hashTag: tag }),
        ...(backupKey === undefined ? {} : { backupKey }),
        // An archive has to lie somewhere.
        backupArchive: rest.backupDirs.length === 0 ? "no" : rest.backupArchive,
      },
    })),
);

/** A config without places, which printing does not keep. */
function bare({ nodes: all, settings }: ClusterConfig): unknown {
  const bareNodes = all.map((node) => ({ ...node, at: undefined }));
  const redis = settings.redis.map(({ name: directive, value }) => `${directive} ${value}`);
  return { nodes: bareNodes, settings: { ...settings, redis } };
}

function parsedOf(text: string): ClusterConfig {
  const { config: parsed, errors } = parseConf(text, "twine.conf");
  if (parsed === undefined) throw new Error(errors.map((error) => error.message).join("\n"));
  return parsed;
}

describe("print and parse", () => {
  test("a printed config is read back as the same", () => {
    fc.assert(
      fc.property(config, (drawn) => {
        expect(bare(parsedOf(printConf(drawn)))).toEqual(bare(drawn));
      }),
      { numRuns: 300 },
    );
  });

  test("printing what was read from a print gives the same print", () => {
    fc.assert(
      fc.property(config, (drawn) => {
        const printed = printConf(drawn);
        expect(printConf(parsedOf(printed))).toBe(printed);
      }),
    );
  });
});

describe("the order of lines", () => {
  test("means nothing: nodes, settings, digest and what is added are the same", () => {
    // Method: the lines shuffle freely, but those that repeat a directive keep their order among
    // themselves.
    const shuffled = config.chain((drawn) => {
      const lines = printConf(drawn).split("\n");
      return fc.tuple(
        fc.constant(drawn),
        fc.array(fc.double({ noNaN: true }), { minLength: lines.length, maxLength: lines.length }),
      );
    });
    fc.assert(
      fc.property(shuffled, ([drawn, dice]) => {
        const lines = printConf(drawn).split("\n");
        const isRepeated = (line: string): boolean => /^(redis|backup-dir|alert-mail) /.test(line);
        const order = lines
          .map((line, index) => ({ line, die: dice[index] ?? 0 }))
          .filter(({ line }) => !isRepeated(line))
          .sort((a, b) => a.die - b.die);
        const text = [...lines.filter(isRepeated), ...order.map(({ line }) => line)].join("\n");
        const first = completeConfig(parsedOf(lines.join("\n"))).config;
        const second = completeConfig(parsedOf(text)).config;
        expect(confDigest(second)).toBe(confDigest(first));
        expect(bare({ ...second, nodes: byName(second.nodes) })).toEqual(
          bare({ ...first, nodes: byName(first.nodes) }),
        );
      }),
    );
  });
});

describe("any text", () => {
  const example = readFileSync("twine.conf", "utf8");
  const words = [..."= # \" ' \\ \t \r \n 0 -1 99999999999999999999 a".split(" "), " ", "\n"];
  const grammarWords = [
    "data",
    "status",
    "monitor",
    "router",
    "redis",
    "hash",
    "lease",
    "partitions",
  ];

  /** Whatever the text, there is a config or errors, every one with its code, place and remedy. */
  function holds(text: string): void {
    const { config: parsed, errors, warnings } = parseConf(text, "twine.conf");
    expect(parsed === undefined).toBe(errors.length > 0);
    for (const problem of errors) {
      expect(problem.code).toMatch(/^CONF_[A-Z_]+$/);
      expect(problem.remedy).toBeTruthy();
      expect(problem.at?.line).toBeGreaterThan(0);
      expect(problem.at?.column).toBeGreaterThan(0);
    }
    for (const warning of warnings) expect(warning.code).toMatch(/^CONF_[A-Z_]+$/);
    if (parsed !== undefined) {
      expect(bare(parsedOf(printConf(parsed)))).toEqual(bare(parsed));
    }
  }

  test("is read without a throw", () => {
    fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 200 }), holds));
    const noise = fc.array(fc.constantFrom(...words, ...grammarWords), { maxLength: 60 });
    fc.assert(
      fc.property(noise, (parts) => {
        holds(parts.join(" "));
        holds(parts.join(""));
      }),
    );
  });

  test("also when a good file has been damaged", () => {
    const damage = fc.record({
      from: fc.nat({ max: example.length }),
      length: fc.nat({ max: 30 }),
      instead: fc.oneof(fc.string({ unit: "binary", maxLength: 10 }), fc.constantFrom(...words)),
    });
    fc.assert(
      fc.property(fc.array(damage, { minLength: 1, maxLength: 5 }), (damages) => {
        let text = example;
        for (const { from, length, instead } of damages) {
          text = text.slice(0, from) + instead + text.slice(from + length);
        }
        holds(text);
      }),
      { numRuns: 500 },
    );
  });
});
