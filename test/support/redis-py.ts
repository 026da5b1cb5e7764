// redis-py.ts: Python's Redis client as its users have it, in a virtual environment.
import { join } from "node:path";
import { cachedFolder, makeEnvironment, run } from "./cached-install.ts";

const VERSION = "8.1.0";

/** The Python that can import redis, or undefined when it can't be had here. */
export function pythonWithRedis(): string | undefined {
  const folder = cachedFolder(`redis-py-${VERSION}`, (half) => {
    makeEnvironment(half);
    run(join(half, "bin/python"), "-m", "pip", "install", "-q", `redis==${VERSION}`);
  });
  return folder === undefined ? undefined : join(folder, "bin/python");
}
