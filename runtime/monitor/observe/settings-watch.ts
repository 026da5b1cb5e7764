// settings-watch.ts: finds data nodes whose settings differ from the `redis` lines of twine.conf. Redis reads its file only
// at its start, so nothing else shows that a changed line needs a restart.
import type { ClusterConfig } from "../../core/cluster.ts";
import {
  differingSettings,
  settingWords,
  parseRedisConf,
  wantedSettings,
} from "../../core/conf/redis-values.ts";

export interface AskedNode {
  /** CONFIG GET of each name; rejects when the node can't be asked. */
  settings(names: readonly string[]): Promise<ReadonlyMap<string, string>>;
}

const NONE: ReadonlyMap<string, string> = new Map();

export class SettingsWatch {
  readonly #config: () => ClusterConfig;
  readonly #texts = new Map<string, string>();

  constructor(config: () => ClusterConfig) {
    this.#config = config;
  }

  /** The differences, as text; "" when there are none, undefined when the node was not asked yet. */
  of(node: string): string | undefined {
    return this.#texts.get(node);
  }

  forget(): void {
    this.#texts.clear();
  }

  /** Asks all nodes at once. If a node can't be asked, its last text stays; nodes that are not in `nodes` are forgotten. */
  async look(nodes: ReadonlyMap<string, AskedNode>): Promise<void> {
    const lines = this.#config().settings.redis.map(({ name, value }) => `${name} ${value}`);
    const wanted = wantedSettings(parseRedisConf(lines.join("\n")), () => false);
    for (const name of this.#texts.keys()) if (!nodes.has(name)) this.#texts.delete(name);
    const look = async ([name, node]: [string, AskedNode]): Promise<void> => {
      const actual = wanted.size === 0 ? NONE : await node.settings([...wanted.keys()]);
      this.#texts.set(name, settingWords(differingSettings(wanted, actual)));
    };
    await Promise.allSettled([...nodes].map(look));
  }
}
