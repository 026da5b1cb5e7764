// requirements.ts: what the Pulumi tests need: root for network namespaces, Docker's engine, Go for the Pulumi CLI.
import { isMissing } from "../support/programs.ts";

const PROGRAMS = ["dockerd", "docker", "containerd", "iptables", "ip", "nsenter", "unshare", "go"];

/** For describe.skipIf; throws where skips are forbidden. */
export function isMissingForPulumi(): boolean {
  if (isMissing(...PROGRAMS, "redis-server")) return true;
  if (process.getuid?.() === 0) return false;
  if (process.env["TWINE_TEST_STRICT"] === "1") {
    throw new Error("TWINE_TEST_STRICT forbids skips, and Docker engines in namespaces need root");
  }
  process.stderr.write("skipped: Docker engines in namespaces of their own need root\n");
  return true;
}
