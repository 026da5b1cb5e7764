// named-node.ts: finds the node that a user named, or throws an error that lists the existing ones. Pure.
import { nodesOf, type ClusterConfig, type ClusterNode, type NodeKind } from "./cluster.ts";
import { EXIT, TwineError } from "./errors.ts";

const NAMES_SHOWN = 12;

/** For each kind of node: its noun for messages, and an example line of twine.conf. */
const WORDS: Readonly<Record<NodeKind, { readonly noun: string; readonly example: string }>> = {
  data: { noun: "data node", example: "a6666=data 0 localhost 6666 0" },
  status: { noun: "status node", example: "s1=status localhost 6401 0" },
  monitor: { noun: "monitor", example: "m1=monitor localhost 7601" },
  router: { noun: "router", example: "r1=router localhost 6400" },
};

/** Throws NODE_UNKNOWN (a usage error) if no node has this name, or if the node is of another kind. */
export function namedNode<K extends NodeKind>(
  config: ClusterConfig,
  kind: K,
  name: string,
): Extract<ClusterNode, { kind: K }> {
  const nodes = nodesOf(config, kind);
  const found = nodes.find((node) => node.name === name);
  if (found !== undefined) return found;
  const other = config.nodes.find((node) => node.name === name);
  const { noun, example } = WORDS[kind];
  const what =
    other === undefined ? "is not in" : `is a ${WORDS[other.kind].noun}, not a ${noun}, in`;
  const some = nodes.slice(0, NAMES_SHOWN).map((node) => node.name);
  const names = [...some, ...(nodes.length > NAMES_SHOWN ? ["…"] : [])].join(", ");
  throw new TwineError(
    {
      code: "NODE_UNKNOWN",
      message: `${name} ${what} ${config.file}`,
      remedy: names === "" ? `add a line like ${example}` : `name one of its ${noun}s: ${names}`,
    },
    { exitCode: EXIT.usage },
  );
}
