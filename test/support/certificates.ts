// certificates.ts: an authority of a test's own, and certificates that it signs, made by openssl.
import { execFile } from "node:child_process";
import { chmod } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

export interface Authority {
  readonly ca: string;
  /** A certificate for localhost and 127.0.0.1, and for `names` instead when there are some. */
  issue(name: string, names?: readonly string[]): Promise<Certificate>;
}

/** An authority whose files lie in `folder`. */
export async function authorityIn(folder: string, called = "ca"): Promise<Authority> {
  const [ca, caKey] = [join(folder, `${called}.crt`), join(folder, `${called}.key`)];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  const whole = [...curve, "-keyout", caKey, "-out", ca, "-subj", `/CN=${called}`, "-days", "2"];
  await run("openssl", ["req", "-x509", ...whole]);
  return {
    ca,
    issue: async (name, names = ["DNS:localhost", "IP:127.0.0.1"]) => {
      const [cert, key] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
      const subject = ["-subj", `/CN=${name}`, "-addext", `subjectAltName=${names.join(",")}`];
      const signed = ["-CA", ca, "-CAkey", caKey, "-days", "2", "-keyout", key, "-out", cert];
      await run("openssl", ["req", "-x509", ...curve, ...signed, ...subject]);
      await chmod(key, 0o600);
      return { cert, key };
    },
  };
}
