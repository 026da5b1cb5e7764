// failure-remedy.ts: what to do about something that could not be made, from what the engine and the container said.
// Pure. Each rule knows one cause by its own words (Docker's, redis-server's, the entrypoint's); the last one knows none
// and says where to look.

/** One container of the cluster, as a person finds it. */
export interface Place {
  /** Node or pod, as twine.conf calls it. */
  readonly node: string;
  /** As Docker calls it. */
  readonly container: string;
  /** As twine.conf calls it. */
  readonly host: string;
  /** The identity that stands in the container's labels. */
  readonly cluster: string;
}

export interface Failure {
  /** The operation's errors, newest first. */
  readonly errors: readonly string[];
  /** What the container's log and its health check said last; empty when they could not be asked. */
  readonly said: string;
  /** The label twine.cluster of the container that has the name now; undefined when it could not be asked. */
  readonly owner: string | undefined;
  readonly urns: { readonly container: string; readonly volume: string | undefined };
  /** Whether twine:protectData is on: Pulumi then takes the volume out of its state by force alone. */
  readonly isProtected: boolean;
}

/** An image, volume or network of the cluster. */
export interface Part {
  readonly kind: "image" | "build" | "volume" | "network";
  /** What it is to a person: twine:redisImage redis:7.2-bookworm, the volume staging-a1. */
  readonly what: string;
  /** The key that names an image, and its example. */
  readonly setting: { readonly key: string; readonly example: string } | undefined;
  /** As twine.conf calls it, or the engine of all of them. */
  readonly host: string;
}

const AGAIN = "and run `pulumi up` again";
const NEXT = "and run `pulumi up` again; it makes this container anew and goes on from there";

/** One or two sentences in the imperative. */
export function remedyFor(place: Place, failure: Failure): string {
  const { errors, said } = failure;
  const [error = ""] = errors;
  if (/container name .* is already in use/i.test(error)) return nameTaken(place, failure.owner);
  if (/port is already allocated|failed to bind host port/i.test(error)) {
    return `another program or stack on ${place.host} has that port: choose another one with twine:publish, e.g. r1=16400, ${NEXT}`;
  }
  if (/the volume at \S+ (belongs to|holds|can't be read)/.test(said)) {
    return foreignVolume(failure);
  }
  if (/unknown option/.test(said)) {
    return `twine:runtimeImage is of an older Twine than this one: build it anew (docs/pulumi.md, "The runtime's image"), or remove the key, ${NEXT}`;
  }
  if (/address already in use|EADDRINUSE/i.test(said)) {
    return `another program on ${place.host} has a port of ${place.node}: end it, or give ${place.node} another port in twine.conf, ${NEXT}`;
  }
  if (/Health check exceeded timeout/i.test(said)) {
    return `${place.host} is too slow to answer in time, which is short of CPU or disk: give it more, or fewer containers, ${NEXT}`;
  }
  return `mend what it says, ${NEXT}. More of it: docker logs ${place.container}, on ${place.host}`;
}

/** One or two sentences in the imperative. */
export function remedyForPart(
  { kind, what, setting, host }: Part,
  errors: readonly string[],
): string {
  const { key = "", example = "" } = setting ?? {};
  switch (kind) {
    case "image":
      return `see that ${key} is spelt as its registry has it and that ${host} gets there (docker pull, docker login, or docker load), ${AGAIN}; for example: ${example}`;
    case "build":
      return `see that ${host} has or can pull the image in infra/image/Dockerfile's ARG (docker pull node:24-bookworm-slim), or name a runtime that is built already, ${AGAIN}; for example: ${example}`;
    case "network":
      return /address pool/i.test(errors[0] ?? "")
        ? `${host} has no addresses left for another network: remove those that nobody uses (docker network prune), ${AGAIN}`
        : `mend what it says on ${host}, ${AGAIN}`;
    case "volume":
      return `mend what it says on ${host} (docker volume inspect, docker system df), ${AGAIN}; ${what} itself is left as it is`;
    default:
      return kind satisfies never;
  }
}

/** What an `up` that was killed leaves behind is in no state; another stack's container must not be touched. */
function nameTaken({ container, cluster, host }: Place, owner: string | undefined): string {
  if (owner === cluster) {
    return `an interrupted \`pulumi up\` of this stack left it behind: docker rm -f ${container}, on ${host} (its volume stays), ${NEXT}`;
  }
  if (owner !== undefined && owner !== "") {
    return `it is a container of cluster ${owner}: give this stack another name`;
  }
  return `see on ${host} whose ${container} is: if its label twine.cluster is ${cluster}, an interrupted \`pulumi up\` left it behind: docker rm -f ${container} (its volume stays), ${NEXT}`;
}

/** Docker adopted the volume, so it is in the state now, and a destroy would remove what is not this cluster's. */
function foreignVolume({ urns: { container, volume = "" }, isProtected }: Failure): string {
  const force = isProtected ? "--force " : "";
  return (
    "the volume is in this stack's state now, and `pulumi destroy` would remove it with that cluster's data. " +
    `To keep it, take it out of the state first: pulumi destroy --target-dependents --target '${container}' ` +
    `(containers that wait for this one go, too; volumes stay), ` +
    `then pulumi state delete ${force}'${volume}'. Deploy under another stack name`
  );
}
