// port-check.ts: warns, in a preview too, when a program outside Docker has a port that a pod will publish. Docker itself
// detects that only after the old pod is gone. Docker handles the ports of containers.
//
// The check works if the engine is on this machine (unix://, npipe://): it binds the port for a moment. It refuses nothing,
// because such a socket may be a tunnel to another machine.
import { createServer } from "node:net";
import * as pulumi from "@pulumi/pulumi";
import { formatProblem, type Problem } from "../../runtime/core/errors.ts";
import { askEngine } from "./engine-call.ts";
import type { EndpointArgs } from "./endpoints.ts";
import type { PublishedPort } from "./published-ports.ts";

export function warnOfTakenPorts(
  endpoint: EndpointArgs,
  ports: readonly PublishedPort[],
  pod: pulumi.Resource,
): void {
  pod.urn.apply(async () => {
    for (const problem of await takenPorts(endpoint, ports)) {
      await pulumi.log.warn(formatProblem(problem), pod);
    }
  });
}

/** One problem for each taken port; empty when it can't be known. Never rejects. */
export async function takenPorts(
  { docker }: EndpointArgs,
  ports: readonly PublishedPort[],
): Promise<readonly Problem[]> {
  if (ports.length === 0 || !/^(?:unix|npipe):\/\//.test(docker)) return [];
  const published = await askEngine({ docker }, "/containers/json").then(portsIn, () => undefined);
  // Without an answer nothing is created there anyway, and engine-guard.ts reports why.
  if (published === undefined) return [];
  const unknown = ports.filter(({ external }) => !published.has(external));
  const isTaken = await Promise.all(unknown.map(isHeld));
  return unknown.filter((_, at) => isTaken[at]).map(problemOf);
}

/** From the reply to GET /containers/json. */
export function portsIn(containers: unknown): ReadonlySet<number> {
  const found = new Set<number>();
  for (const container of asList(containers)) {
    const { Ports: ports } = (container ?? {}) as { readonly Ports?: unknown };
    for (const port of asList(ports)) {
      const { PublicPort: external } = (port ?? {}) as { readonly PublicPort?: unknown };
      if (typeof external === "number") found.add(external);
    }
  }
  return found;
}

function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Only EADDRINUSE proves it: an address of another machine, or a port that needs root, proves nothing. */
function isHeld({ address, external }: PublishedPort): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      resolve(error.code === "EADDRINUSE");
    });
    server.listen({ host: address, port: external, exclusive: true }, () => {
      server.close(() => {
        resolve(false);
      });
    });
  });
}

function problemOf({ node, external, address }: PublishedPort): Problem {
  return {
    code: "PORT_TAKEN",
    message: `${node} is to be published as ${address}:${external}, and a program outside Docker has that port on this machine; with it the new pod can't start`,
    remedy: `\`ss -ltnp\` shows which program; end it, or choose another port with twine:publish, e.g. ${node}=16400`,
  };
}
