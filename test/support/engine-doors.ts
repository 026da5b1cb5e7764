// engine-doors.ts: how a test engine is reached from another machine: tcp:// with TLS, ssh://.
//
//   folder/certs   a certificate authority, the engine's certificate for its address, a client's (as certPath wants them)
//   folder/ssh     host key, a client's key, known_hosts: nothing of the machine's own ~/.ssh is read or written
import { execFile } from "node:child_process";
import { chmod, copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { EngineHost } from "./docker-engines.ts";
import { findProgram } from "./programs.ts";
import { until } from "./redis-server.ts";

const run = promisify(execFile);

export const TLS_PORT = 2376;
const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/** Makes the certificates; answers the folder for certPath, and dockerd's options. */
export async function makeCertificates(
  folder: string,
  address: string,
): Promise<{ readonly certPath: string; readonly options: readonly string[] }> {
  await mkdir(folder, { recursive: true });
  const at = (name: string): string => join(folder, name);
  const openssl = (...args: string[]): Promise<unknown> => run("openssl", args, { cwd: folder });
  const authority = ["-keyout", "ca-key.pem", "-out", "ca.pem", "-subj", "/CN=twine-test"];
  await openssl("req", "-x509", ...NEW_KEY, ...authority, "-days", "2");
  const sign = async (
    name: string,
    cert: string,
    key: string,
    ...more: string[]
  ): Promise<void> => {
    const request = ["-keyout", key, "-out", `${name}.csr`, "-subj", `/CN=${name}`, ...more];
    await openssl("req", ...NEW_KEY, ...request);
    const by = ["-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-days", "2"];
    const signed = ["-in", `${name}.csr`, "-out", cert, "-copy_extensions", "copy"];
    await openssl("x509", "-req", ...signed, ...by);
  };
  await sign("server", "server.pem", "server-key.pem", "-addext", `subjectAltName=IP:${address}`);
  await sign("client", "cert.pem", "key.pem");
  const keys = [`--tlscert=${at("server.pem")}`, `--tlskey=${at("server-key.pem")}`];
  const options = [`-H tcp://${address}:${TLS_PORT}`, "--tlsverify", `--tlscacert=${at("ca.pem")}`];
  return { certPath: folder, options: [...options, ...keys] };
}

/** Starts an sshd on the host's address; it ends with the host. Answers the options for a client's ssh. */
export async function startSshd(host: EngineHost, folder: string): Promise<readonly string[]> {
  await mkdir(folder, { recursive: true });
  // Where Debian's sshd shuts itself in.
  await mkdir("/run/sshd", { recursive: true });
  const at = (name: string): string => join(folder, name);
  for (const name of ["host", "client"]) {
    await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", at(name)]);
  }
  await copyFile(at("client.pub"), at("authorized"));
  await chmod(at("authorized"), 0o600);
  const hostKey = await readFile(at("host.pub"), "utf8");
  await writeFile(at("known_hosts"), `${host.address} ${hostKey}`);
  const config = [
    `ListenAddress ${host.address}:22`,
    `HostKey ${at("host")}`,
    `AuthorizedKeysFile ${at("authorized")}`,
    "StrictModes no",
    "UsePAM no",
    "PasswordAuthentication no",
    "PidFile none",
    // One connection carries one session a call, and sshd refuses the eleventh; as docs/pulumi.md advises.
    "MaxSessions 200",
    "MaxStartups 200",
    // What a real host's docker program finds by itself.
    `SetEnv DOCKER_HOST=${host.endpoint}`,
  ];
  await writeFile(at("sshd_config"), `${config.join("\n")}\n`);
  host.begin(findProgram("sshd") ?? "sshd", "-D", "-E", at("sshd.log"), "-f", at("sshd_config"));
  const options = [
    "-F",
    "none",
    "-i",
    at("client"),
    "-o",
    `UserKnownHostsFile=${at("known_hosts")}`,
  ];
  const strict = [
    "-o",
    "StrictHostKeyChecking=yes",
    "-o",
    "IdentitiesOnly=yes",
    "-o",
    "BatchMode=yes",
  ];
  const isUp = async (): Promise<boolean> => {
    const login = ["ssh", ...options, ...strict, `root@${host.address}`, "true"];
    return host.run(...(login as [string, ...string[]])).then(
      () => true,
      () => false,
    );
  };
  await until(`sshd of ${host.name} answers, see ${at("sshd.log")}`, isUp);
  return [...options, ...strict];
}
