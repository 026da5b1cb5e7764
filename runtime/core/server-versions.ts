// server-versions.ts: compares two server versions. Pure.
// A replica that is older than its master may not understand the replication stream (tried: HEXPIRE of an 8.2 to a 7.0
// replica). Patch releases don't change the stream: only major and minor count. Redis and Valkey can't be compared.
// https://redis.io/docs/latest/operate/oss_and_stack/install/upgrade/

/** Whether `a`, such as "redis 8.2.3", is newer than `b`; false when either is unknown or they can't be compared. */
export function isNewerVersion(a: string | undefined, b: string | undefined): boolean {
  const [one, other] = [releaseOf(a), releaseOf(b)];
  if (one === undefined || other === undefined || one.server !== other.server) return false;
  return one.major > other.major || (one.major === other.major && one.minor > other.minor);
}

function releaseOf(
  version: string | undefined,
): { readonly server: string; readonly major: number; readonly minor: number } | undefined {
  const found = /^(\w+) (\d+)\.(\d+)/.exec(version ?? "");
  if (found === null) return undefined;
  const [, server = "", major, minor] = found;
  return { server, major: Number(major), minor: Number(minor) };
}
