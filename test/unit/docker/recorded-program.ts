// recorded-program.ts: runs the cluster's component under Pulumi's own test mode and keeps what it asked for.
import { readFileSync } from "node:fs";
import * as pulumi from "@pulumi/pulumi";
import { TwineCluster, type TwineClusterArgs } from "../../../infra/docker/cluster.ts";
import { ROOT } from "../../support/source-files.ts";

export interface Recorded {
  readonly urn: string;
  readonly type: string;
  readonly name: string;
  /** As Pulumi's engine gets them: secrets are wrapped, names of files in uploads included. */
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly protect: boolean;
  readonly retainOnDelete: boolean;
  /** What the program says of it; undefined: the provider decides. */
  readonly deleteBeforeReplace: boolean | undefined;
  /** Names of the resources that its order names. */
  readonly dependsOn: readonly string[];
  /** "TYPE NAME" of the resources from which its inputs take a value. */
  readonly takesFrom: readonly string[];
}

export interface RecordedProgram {
  readonly cluster: TwineCluster;
  /** Sorted by URN. */
  readonly resources: readonly Recorded[];
}

export const CONTAINER = "docker:index/container:Container";
export const VOLUME = "docker:index/volume:Volume";

/** The text of a twine.conf of this repository. */
export function confText(path: string): string {
  return readFileSync(`${ROOT}/${path}`, "utf8");
}

/** Runs `new TwineCluster(name, args)` in a stack. */
export async function recordProgram(
  args: TwineClusterArgs,
  stack = "staging",
  name = stack,
): Promise<RecordedProgram> {
  const inputs = new Map<string, Record<string, unknown>>();
  await pulumi.runtime.setMocks(
    {
      newResource: (asked) => {
        const given = asked.inputs as Record<string, unknown>;
        inputs.set(`${asked.type} ${asked.name}`, given);
        return { id: `${asked.name}-id`, state: { ...given, imageId: `sha256:${asked.name}` } };
      },
      call: () => ({}),
    },
    "twine",
    stack,
    false,
  );
  const seen: pulumi.ResourceTransformationArgs[] = [];
  const record: pulumi.ResourceTransformation = (one) => {
    seen.push(one);
    return undefined;
  };
  const cluster = new TwineCluster(name, args, { transformations: [record] });
  const resources = await Promise.all(seen.map((one) => recorded(one, inputs)));
  return { cluster, resources: resources.sort((a, b) => (a.urn < b.urn ? -1 : 1)) };
}

async function recorded(
  { resource, type, name, props, opts }: pulumi.ResourceTransformationArgs,
  inputs: ReadonlyMap<string, Record<string, unknown>>,
): Promise<Recorded> {
  const urn = await outputValue(resource.urn);
  const sources = [...sourcesOf(props)];
  return {
    urn,
    type,
    name,
    inputs: inputs.get(`${type} ${name}`) ?? {},
    protect: opts.protect ?? false,
    retainOnDelete: opts.retainOnDelete ?? false,
    deleteBeforeReplace: (opts as pulumi.CustomResourceOptions).deleteBeforeReplace,
    dependsOn: [opts.dependsOn ?? []].flat().map(nameOf).sort(),
    takesFrom: sources.map((one) => `${typeOf(one)} ${nameOf(one)}`).sort(),
  };
}

function nameOf(resource: unknown): string {
  return resource instanceof pulumi.Resource
    ? ((resource as { __name?: string }).__name ?? "")
    : "";
}

function typeOf(resource: pulumi.Resource): string {
  return (resource as { __pulumiType?: string }).__pulumiType ?? "";
}

interface WithResources {
  resources(): Set<pulumi.Resource>;
}

/** The resources behind every output in a value. */
function sourcesOf(value: unknown): Set<pulumi.Resource> {
  if (pulumi.Output.isInstance(value)) return (value as unknown as WithResources).resources();
  if (typeof value !== "object" || value === null) return new Set();
  return new Set(Object.values(value).flatMap((inner) => [...sourcesOf(inner)]));
}

/** What an output holds. */
export function outputValue<T>(output: pulumi.Output<T>): Promise<T> {
  return new Promise((resolve) => {
    output.apply((value) => {
      resolve(value);
    });
  });
}

/** Pulumi's mark of a secret on the wire (sdk/nodejs/runtime/rpc.ts). */
const SECRET_MARK = "1b47061264138c4ac30d75fd1eb44270";

/** `value` with every secret replaced by "[secret]": what a reader of the state sees. */
export function withoutSecrets(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutSecrets);
  if (typeof value !== "object" || value === null) return value;
  if (Object.values(value).includes(SECRET_MARK)) return "[secret]";
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, withoutSecrets(inner)]),
  );
}

/** `value` with the marks of secrets taken off: what the provider gets. */
export function withSecrets(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withSecrets);
  if (typeof value !== "object" || value === null) return value;
  if (Object.values(value).includes(SECRET_MARK)) {
    return withSecrets((value as { value?: unknown }).value);
  }
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withSecrets(inner)]));
}
