// plan.test.ts: what holds for the plan of any twine.conf.
import fc from "fast-check";
import { expect, test } from "vitest";
import { planCluster } from "../../infra/plan/plan-cluster.ts";
import type { Plan } from "../../infra/plan/plan.ts";
import { TEMPLATES, configOf } from "../golden/render-cases.ts";
import { renderFile } from "../../infra/render/render-file.ts";

interface Shape {
  readonly hosts: number;
  readonly partitions: number;
  readonly copies: number;
  readonly statusNodes: number;
  readonly routers: number;
  readonly hasPassword: boolean;
}

const shapes: fc.Arbitrary<Shape> = fc.record({
  hosts: fc.integer({ min: 1, max: 5 }),
  partitions: fc.integer({ min: 1, max: 8 }),
  copies: fc.integer({ min: 1, max: 3 }),
  statusNodes: fc.integer({ min: 0, max: 5 }),
  routers: fc.integer({ min: 0, max: 2 }),
  hasPassword: fc.boolean(),
});

/** Every node a port of its own; hosts in turn. */
function linesOf(shape: Shape): string[] {
  let next = 0;
  const place = (): string => `h${(next % shape.hosts) + 1} ${10_000 + next++}`;
  const times = (count: number, line: (index: number) => string): string[] =>
    Array.from({ length: count }, (_, index) => line(index));
  return [
    ...times(shape.partitions * shape.copies, (index) => {
      const partition = Math.floor(index / shape.copies);
      return `d${index}=data ${partition} ${place()} 0`;
    }),
    ...times(shape.statusNodes, (index) => `s${index}=status ${place()} 0`),
    ...times(shape.routers, (index) => `r${index}=router ${place()}`),
    "redis appendonly yes",
    "cluster any",
  ];
}

function planOf(lines: readonly string[], hasPassword: boolean): Plan {
  return planCluster(configOf(lines.join("\n")), { confPath: "/srv/twine.conf", hasPassword });
}

test("the order of the lines changes nothing", () => {
  const shuffled = shapes.chain((shape) => {
    const lines = linesOf(shape);
    return fc.tuple(
      fc.constant(shape),
      fc.shuffledSubarray(lines, { minLength: lines.length, maxLength: lines.length }),
    );
  });
  fc.assert(
    fc.property(shuffled, ([shape, lines]) => {
      const withoutPlaces = (plan: Plan): unknown => ({
        ...plan,
        warnings: plan.warnings.map(({ code, message }) => ({ code, message })),
      });
      expect(withoutPlaces(planOf(lines, shape.hasPassword))).toEqual(
        withoutPlaces(planOf(linesOf(shape), shape.hasPassword)),
      );
    }),
    { numRuns: 60 },
  );
});

test("no port of a host is given twice, no file is written twice, every file can be rendered", () => {
  fc.assert(
    fc.property(shapes, (shape) => {
      const plan = planOf(linesOf(shape), shape.hasPassword);
      for (const host of plan.hosts) {
        const ports = host.services.flatMap(({ ports }) => ports.map(({ port }) => port));
        expect(new Set(ports).size).toBe(ports.length);
        expect(new Set(host.files.map(({ path }) => path)).size).toBe(host.files.length);
        for (const file of host.files) {
          const text = renderFile(file, TEMPLATES, shape.hasPassword ? "word" : undefined);
          expect(text).not.toMatch(/undefined|\[object|\{\{/);
        }
      }
    }),
    { numRuns: 60 },
  );
});

test("every node of twine.conf is a service of exactly one host, started after what it needs", () => {
  fc.assert(
    fc.property(shapes, (shape) => {
      const config = configOf(linesOf(shape).join("\n"));
      const plan = planCluster(config, { confPath: "/srv/twine.conf", hasPassword: false });
      const services = plan.hosts.flatMap((host) => host.services);
      expect(services.map(({ name }) => name).sort()).toEqual(
        config.nodes.map(({ name }) => name).sort(),
      );
      const order = { status: 0, data: 1, monitor: 2, router: 3 };
      for (const service of services) expect(service.order).toBe(order[service.kind]);
    }),
    { numRuns: 60 },
  );
});
