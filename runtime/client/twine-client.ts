// twine-client.ts: an ioredis Redis for a whole Twine cluster: the router's engine runs in the program's own process.
import type { RedisOptions } from "ioredis";
import { TwineError } from "../core/errors.ts";
import type { LinkTls } from "../ports/link-tls.ts";
import { silentLog, type Log } from "../ports/log.ts";
import { readClientConf, type ClientSettings, type ConfSource } from "./client-conf.ts";
import { redisOptionsOf, type IoredisOption } from "./client-options.ts";
import { EngineHost } from "./engine-host.ts";
import { EngineRedis } from "./engine-redis.ts";
import { TwineHost } from "./twine-host.ts";

export { TwineError };

export interface TwineClientOptions
  extends ConfSource, Partial<ClientSettings>, Pick<RedisOptions, IoredisOption> {
  /** The cluster's password. */
  readonly password?: string;
  /** TLS options for data nodes and status nodes, as in node:tls and ioredis. Absent: as in twine.conf: with tls-nodes
      yes, from tls-ca, tls-cert and tls-key. */
  readonly tls?: LinkTls;
  readonly log?: Log;
}

export class TwineClient extends EngineRedis {
  /** Follows the view at once; commands are buffered until there is one. Throws as readClientConf does. */
  constructor(options: TwineClientOptions);
  /** For duplicate(). */
  constructor(options: RedisOptions, host: EngineHost);
  constructor(options: TwineClientOptions, host?: EngineHost) {
    if (host === undefined) super(hostOf(options), redisOptionsOf(options), false);
    else super(host, options, true);
  }

  protected override sibling(host: EngineHost, options: RedisOptions): TwineClient {
    return new TwineClient(options, host);
  }
}

function hostOf(options: TwineClientOptions): EngineHost {
  const config = readClientConf(options);
  const { password, tls, log = silentLog } = options;
  const isToldByView = options.statusNodes !== undefined;
  return new EngineHost(
    config.settings.holdForMs,
    (report) => new TwineHost({ config, isToldByView, password, tls, log }, report),
  );
}
