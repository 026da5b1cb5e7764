// failure-remedy.ts: chooses the remedy for a resource that could not be created, from the errors of the engine and the
// container. Pure. Each rule matches one cause by the words of its error (Docker's, redis-server's, the entrypoint's); the
// last rule matches everything and names where to look.

/** One container of the cluster, as the user finds it. */
export interface Place {
  /** Node or pod, by its name in twine.conf. */
  readonly node: string;
  /** By its name in Docker. */
  readonly container: string;
  /** By its name in twine.conf. */
  readonly host: string;
  /** The identity in the container's labels. */
  readonly cluster: string;
}

export interface Failure {
  /** The operation's errors, newest first. */
  readonly errors: readonly string[];
  /** The last output of the container's log and health check; empty when they could not be read. */
  readonly said: string;
  /** The label twine.cluster of the container that has the name now; undefined when it could not be read. */
  readonly owner: string | undefined;
  readonly urns: { readonly container: string; readonly volume: string | undefined };
  /** Whether twine:protectData is on: Pulumi then removes the volume from its state only by force. */
  readonly isProtected: boolean;
}

/** An image, volume or network of the cluster. */
export interface Part {
  readonly kind: "image" | "build" | "volume" | "network";
  /** Its name for the user: twine:redisImage redis:7.2-bookworm, the volume staging-a1. */
  readonly what: string;
  /** The key that names an image, and its example. */
  readonly setting: { readonly key: string; readonly example: string } | undefined;
  /** By its name in twine.conf, or the engine of all hosts. */
  readonly host: string;
  /** twine:platform; only for an image. */
  readonly platform?: string | undefined;
}

const AGAIN = "and run `pulumi up` again";
const NEXT = "and run `pulumi up` again; it makes this container anew and goes on from there";

/** One or two sentences in the imperative. */
export function remedyFor(place: Place, failure: Failure): string {
  const { errors, said } = failure;
  const [error = ""] = errors;
  if (/container name .* is already in use/i.test(error)) return nameTaken(place, failure.owner);
  if (isPortTaken(error)) {
    // The engine knows only the ports of containers, so this error appears only when the old pod is already gone.
    return `another program or stack on ${place.host} has that port: \`ss -ltnp\` there shows which; end it, or choose another port with twine:publish, e.g. r1=16400, ${NEXT}`;
  }
  if (/the volume at \S+ (belongs to|holds|can't be read)/.test(said)) {
    return foreignVolume(failure);
  }
  // This Twine has already parsed the user's file: only an older version does not know the option.
  if (/unknown (option|directive)/.test(said)) {
    return `twine:runtimeImage is of an older Twine than this one: build it anew (docs/pulumi.md, "The runtime's image"), or remove the key, ${NEXT}`;
  }
  if (/address already in use|EADDRINUSE/i.test(said)) {
    return `another program on ${place.host} has a port of ${place.node}: \`ss -ltnp\` there shows which; end it, or give ${place.node} another port in twine.conf, ${NEXT}`;
  }
  if (/Health check exceeded timeout/i.test(said)) {
    return `${place.host} is short of CPU or disk, so the health check took too long: give it more, or fewer containers, ${NEXT}`;
  }
  return `correct what the message says, ${NEXT}. The whole log: docker logs ${place.container}, on ${place.host}`;
}

/** A port that the engine would publish: taken by a container ("allocated"), or by a program outside Docker ("userland proxy"). */
function isPortTaken(error: string): boolean {
  return /port is already allocated|failed to bind host port|userland proxy.*address already in use/is.test(
    error,
  );
}

/** One or two sentences in the imperative. */
export function remedyForPart(
  { kind, what, setting, host, platform }: Part,
  errors: readonly string[],
): string {
  const { key = "", example = "" } = setting ?? {};
  switch (kind) {
    case "image":
      return `check the spelling of ${key} and that ${host} can pull it (docker pull, docker login, or docker load), ${AGAIN}; for example: ${example}`;
    case "build":
      return `check that ${host} has or can pull the image in infra/image/Dockerfile's ARG (docker pull node:24-bookworm-slim)${platform === undefined ? "" : ` for twine:platform ${platform}`}, or name an image that is already built, ${AGAIN}; for example: ${example}`;
    case "network":
      return /address pool/i.test(errors[0] ?? "")
        ? `${host} has no addresses left for another network: remove those that nobody uses (docker network prune), ${AGAIN}`
        : `correct what the message says on ${host}, ${AGAIN}`;
    case "volume":
      return `correct what the message says on ${host} (docker volume inspect, docker system df), ${AGAIN}; ${what} itself is not changed`;
    default:
      return kind satisfies never;
  }
}

/** Remains of a killed `up` are in no state; another stack's container must not be touched. */
function nameTaken({ container, cluster, host }: Place, owner: string | undefined): string {
  if (owner === cluster) {
    return `an interrupted \`pulumi up\` of this stack left it behind: docker rm -f ${container}, on ${host} (its volume stays), ${NEXT}`;
  }
  if (owner !== undefined && owner !== "") {
    return `it is a container of cluster ${owner}: give this stack another name`;
  }
  return `see on ${host} whose ${container} is: if its label twine.cluster is ${cluster}, an interrupted \`pulumi up\` left it behind: docker rm -f ${container} (its volume stays), ${NEXT}`;
}

/** Docker adopted the volume, so it is in the state now, and a destroy would remove another cluster's data. */
function foreignVolume({ urns: { container, volume = "" }, isProtected }: Failure): string {
  const force = isProtected ? "--force " : "";
  return (
    "the volume is in this stack's state now, and `pulumi destroy` would remove it with that cluster's data. " +
    `To keep it, take it out of the state first: pulumi destroy --target-dependents --target '${container}' ` +
    `(containers that wait for this one go, too; volumes stay), ` +
    `then pulumi state delete ${force}'${volume}'. Deploy under another stack name`
  );
}
