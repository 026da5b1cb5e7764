// last-deployment.ts: reads the state of this stack's last `pulumi up`: the twine.conf of a cluster, and the files that
// each container was made with.
//
// It uses Pulumi's function for stack references, on the stack itself. If the state can't be read, nothing is known, and
// every change replaces containers.
import * as pulumi from "@pulumi/pulumi";
import { WATCHED_TYPES, hasHooks } from "../failure-hook.ts";

const READ = "pulumi:pulumi:readStackResourceOutputs";

type Outputs = Readonly<Record<string, unknown>>;

/** One upload in a container's state, in the form of container-args.ts. */
export interface LastUpload {
  readonly file: string;
  readonly content?: string;
  readonly contentBase64?: string;
  readonly permissions?: string;
  readonly owner?: string;
  readonly group?: string;
}

export interface MadeContainer {
  /** By its name in Docker. */
  readonly name: string;
  /** By its id. */
  readonly image: string;
  readonly networkMode: string;
  readonly uploads: readonly LastUpload[];
  readonly labels: ReadonlyMap<string, string>;
}

/** The containers and components of the state, by URN. */
export class LastDeployment {
  readonly #resources: ReadonlyMap<string, Outputs>;

  constructor(resources: ReadonlyMap<string, Outputs>) {
    this.#resources = resources;
  }

  /** The text of the twine.conf that the component of this URN registered; undefined before its first deployment. */
  conf(urn: string): string | undefined {
    const conf = this.#resources.get(urn)?.["conf"];
    return typeof conf === "string" ? conf : undefined;
  }

  /** The name of an image that was pulled, e.g. redis:7.2-bookworm, by its resource's name. */
  image(name: string): string | undefined {
    const image = this.#outputs("image", name)?.["name"];
    return typeof image === "string" ? image : undefined;
  }

  /** The id of the image that a container was made of, by its resource's name. */
  imageOf(name: string): string | undefined {
    const image = this.#outputs("container", name)?.["image"];
    return typeof image === "string" && image !== "" ? image : undefined;
  }

  /** A container, by its resource's name; undefined when there is none, or when its form is unknown. */
  made(name: string): MadeContainer | undefined {
    const {
      name: given,
      image,
      networkMode,
      uploads,
      labels,
    } = this.#outputs("container", name) ?? {};
    if (![given, image, networkMode].every((text) => typeof text === "string")) return undefined;
    if (!Array.isArray(uploads) || !Array.isArray(labels)) return undefined;
    const read = uploads.map(uploadOf);
    if (!read.every((one) => one !== undefined)) return undefined;
    const named = labels.map(
      ({ label, value }: Outputs) => [String(label), String(value)] as const,
    );
    return {
      ...{ name: String(given), image: String(image), networkMode: String(networkMode) },
      ...{ uploads: read, labels: new Map(named) },
    };
  }

  #outputs(kind: "container" | "image", name: string): Outputs | undefined {
    const end = `${WATCHED_TYPES[kind]}::${name}`;
    return [...this.#resources].find(([urn]) => urn.endsWith(end))?.[1];
  }
}

const FIELDS = ["content", "contentBase64", "permissions", "owner", "group"] as const;

/** The provider adds its own fields. */
function uploadOf(upload: unknown): LastUpload | undefined {
  if (typeof upload !== "object" || upload === null) return undefined;
  const { file, ...rest } = upload as Outputs;
  if (typeof file !== "string") return undefined;
  const given = FIELDS.map((field) => [field, rest[field]] as const).filter(
    (entry): entry is [(typeof FIELDS)[number], string] =>
      typeof entry[1] === "string" && entry[1] !== "",
  );
  return { file, ...Object.fromEntries(given) };
}

/** By the connection to Pulumi's engine: a process may run several programs, one after the other. */
const readings = new WeakMap<object, Promise<LastDeployment>>();

/** Read once for each run of a program; empty when there was no deployment. */
export function lastDeployment(): Promise<LastDeployment> {
  const engine: object | undefined = pulumi.runtime.getMonitor();
  if (!hasHooks() || engine === undefined) return Promise.resolve(new LastDeployment(new Map()));
  const reading = readings.get(engine) ?? readLast().catch(() => new LastDeployment(new Map()));
  readings.set(engine, reading);
  return reading;
}

async function readLast(): Promise<LastDeployment> {
  const name = [pulumi.getOrganization(), pulumi.getProject(), pulumi.getStack()].join("/");
  const answer = (await pulumi.runtime.invoke(READ, { stackName: name }, {})) as {
    readonly outputs?: Readonly<Record<string, { readonly outputs?: Outputs }>>;
  };
  const entries = Object.entries(answer.outputs ?? {});
  return new LastDeployment(new Map(entries.map(([urn, { outputs = {} }]) => [urn, outputs])));
}

/** The text of the last deployment's final twine.conf; `component`: the cluster's. */
export async function lastConfOf(component: pulumi.Resource): Promise<string | undefined> {
  const last = await lastDeployment();
  const urn = await new Promise<string>((resolve) => {
    component.urn.apply(resolve);
  });
  return last.conf(urn);
}
