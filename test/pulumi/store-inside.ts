// store-inside.ts: a real S3 server (moto) in the network of an engine's host, at an address that its containers reach, too.
//
//   the host's namespace:  lo 10.213.200.1 <- moto       bridge of a stack -> containers, which route through the host
import type { EngineHost } from "../support/docker-engines.ts";
import { until } from "../support/redis-server.ts";

const ADDRESS = "10.213.200.1";
const PORT = 9000;
const START_WITHIN_MS = 120_000;

export interface StoreInside {
  readonly url: string;
  /** Keys of the bucket's objects. */
  keys(bucket: string): Promise<readonly string[]>;
}

/** Starts it with an empty bucket; it ends with the host. */
export async function startStoreInside(
  host: EngineHost,
  python: string,
  bucket: string,
): Promise<StoreInside> {
  await host.run("ip", "address", "add", `${ADDRESS}/32`, "dev", "lo");
  // It logs every request.
  const quietly = ["-c", 'exec "$@" >/dev/null 2>&1', "sh"];
  host.begin("sh", ...quietly, python, "-m", "moto.server", "-H", ADDRESS, "-p", String(PORT));
  const url = `http://${ADDRESS}:${PORT}`;
  const answers = (): Promise<boolean> =>
    ask(host, "GET", `${url}/moto-api/data.json`).then(
      () => true,
      () => false,
    );
  await until("the S3 server answers", answers, START_WITHIN_MS);
  await ask(host, "PUT", `${url}/${bucket}`);
  return {
    url,
    keys: async (name) => {
      const xml = await ask(host, "GET", `${url}/${name}?list-type=2`);
      return [...xml.matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, key]) => key ?? "");
    },
  };
}

/** moto's way of saying which service an unsigned request is for. */
const AUTHORIZATION =
  "AWS4-HMAC-SHA256 Credential=mock/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";

/** From the host's own network, which this process is not in. Rejects unless the answer is a success. */
function ask(host: EngineHost, method: string, url: string): Promise<string> {
  const script = `
    const [method, url, authorization] = process.argv.slice(1);
    const answer = await fetch(url, { method, headers: { authorization } });
    if (!answer.ok) throw new Error(url + ": " + answer.status);
    process.stdout.write(await answer.text());
  `;
  const run = [process.execPath, "--input-type=module", "-e", script] as const;
  return host.run(...run, method, url, AUTHORIZATION);
}
