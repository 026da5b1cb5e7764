// env-password-tls.test.ts: an environment with a password and with TLS at its router: clients get in by both alone, and twine-env
// chaos checks it as any other.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ChaosReport } from "../../infra/env/chaos/report-page.ts";
import { startCluster, type RunningCluster } from "../../infra/env/start-cluster.ts";
import { binPath } from "../support/bins.ts";
import { authorityIn, type Authority } from "../support/certificates.ts";
import { isMissing } from "../support/programs.ts";
import { runCommand } from "../support/run-tool.ts";

const PASSWORD = "correct-horse";

describe.skipIf(process.platform !== "linux" || isMissing("redis-server", "openssl"))(
  "an environment with a password and TLS",
  () => {
    let folder = "";
    let cluster: RunningCluster;
    let authority: Authority;

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), "twine-env-tls-"));
      process.env["TWINE_ENVS"] = join(folder, "envs");
      authority = await authorityIn(folder);
      const { cert, key } = await authority.issue("router");
      const conf = [
        ...["a1=data 0 db1 6666 0", "a2=data 0 db2 6666 0"],
        ...["s1=status db1 6401 0", "m1=monitor db2 7601", "r1=router db2 6400"],
        ...["ack-replicas 1", "redis appendonly yes"],
        ...[`tls-cert ${cert}`, `tls-key ${key}`, `tls-ca ${authority.ca}`, "tls-auth-clients no"],
      ];
      cluster = await startCluster({
        ...{ confText: conf.join("\n"), name: "closed", password: PASSWORD, waitMs: 120_000 },
      });
    }, 150_000);

    afterAll(async () => {
      await cluster.stop();
      delete process.env["TWINE_ENVS"];
      await rm(folder, { recursive: true, force: true });
    });

    test("clients need the password and speak TLS", async () => {
      const [router] = cluster.routers;
      const ca = await readFile(authority.ca);
      const at = { host: router?.host ?? "", port: router?.port ?? 0, retryStrategy: () => null };
      // The certificate names localhost; the address is one of the environment's own.
      const tls = { ca, checkServerIdentity: () => undefined };
      const friend = new Redis({ ...at, password: PASSWORD, tls });
      expect(await friend.set("a", "1")).toBe("OK");
      friend.disconnect();
      const stranger = new Redis({ ...at, tls });
      stranger.on("error", () => undefined);
      await expect(stranger.get("a")).rejects.toThrow(/NOAUTH/);
      stranger.disconnect();
      expect(cluster.routerUrls[0]).toMatch(/^rediss:\/\//);
    });

    test("its faults are checked, and the report keeps the password to itself", async () => {
      const bin = binPath("twine-env", "infra");
      const env = { TWINE_PASSWORD_FILE: join(cluster.folder, "secrets/password") };
      const args = ["chaos", "closed", "--minutes", "0.15", "--seed", "7"];
      const { code, stdout, stderr } = await runCommand(process.execPath, [bin, ...args], {
        ...{ cwd: folder, env },
      });
      expect(code, `${stdout}${stderr}`).toBe(0);
      const text = await readFile(join(folder, "chaos-closed/report.json"), "utf8");
      const report = JSON.parse(text) as ChaosReport;
      expect(report).toMatchObject({ lost: 0, unread: 0, brokenOff: null });
      expect(report.acknowledged).toBeGreaterThan(50);
      expect(text).not.toContain(PASSWORD);
    });
  },
);
