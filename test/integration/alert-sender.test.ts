// One mail over a real SMTP server, and every way in which it can fail.
import { createSocket } from "node:dgram";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import type { SMTPServerOptions } from "smtp-server";
import { describe, expect, onTestFinished, test } from "vitest";
import { createSender, type MailRoute, type Sent } from "../../runtime/alert/sender.ts";
import { TwineError } from "../../runtime/core/errors.ts";
import { systemClock, type Clock } from "../../runtime/ports/clock.ts";
import { binPath } from "../support/bins.ts";
import { runCommand } from "../support/run-tool.ts";
import { mailServer } from "../support/mail-server.ts";
import { freePort } from "../support/port-claims.ts";

const MAIL = { subject: "[twine test] ä", text: "text ä\n", html: "<p>html</p>" };
const TO = ["ops@example.com", "night@example.com"];

function send(
  smtp: string,
  { password, clock, to }: { password?: string; clock?: Clock; to?: string[] } = {},
): Promise<Sent> {
  const sender = createSender({
    clock: clock ?? systemClock,
    hostName: hostname(),
    password: () => password,
  });
  const route: MailRoute = { to: to ?? TO, smtp, file: "twine.conf" };
  return sender(route, MAIL, new AbortController().signal);
}

async function problemOf(sending: Promise<Sent>): Promise<{ code: string; message: string }> {
  const error = await sending.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  if (!(error instanceof TwineError)) throw new Error(`not refused: ${String(error)}`);
  expect(error.problems[0]?.remedy).toBeTruthy();
  return { code: error.code, message: error.message };
}

test("a mail arrives with its text, its HTML and its recipients", async () => {
  const server = await mailServer();
  await server.start();
  const sent = await send(`smtp://localhost:${server.port}`);
  expect(sent).toMatchObject({ accepted: TO, rejected: [] });
  const [mail] = server.mails;
  expect([mail?.subject, mail?.text?.trim()]).toEqual([MAIL.subject, MAIL.text.trim()]);
  expect(mail?.html?.trim()).toBe(MAIL.html);
  expect(mail?.from).toEqual({ name: "Twine", address: `twine@${hostname()}` });
  expect(mail?.to?.map(({ address }) => address)).toEqual(TO);
  expect(mail?.headers.find(({ key }) => key === "auto-submitted")?.value).toBe("auto-generated");
  expect(server.envelopes).toEqual([{ recipients: TO, isSecure: false }]);
});

test("a server that refuses one of two recipients takes the mail for the other", async () => {
  const server = await mailServer({
    onRcptTo: ({ address }, _session, done) => {
      done(address.startsWith("night") ? new Error("no such mailbox") : null);
    },
  });
  await server.start();
  const sent = await send(`smtp://127.0.0.1:${server.port}`);
  expect(sent).toMatchObject({ accepted: ["ops@example.com"], rejected: ["night@example.com"] });
});

test.skipIf(process.platform !== "linux" || process.getuid?.() !== 0)(
  "a relay that stands in /etc/hosts gets the mail while DNS does not answer",
  async () => {
    // Method: in a mount namespace with files of its own, a name server that takes questions and never answers.
    const server = await mailServer();
    await server.start();
    const silent = createSocket("udp4");
    onTestFinished(() => void silent.close());
    await new Promise<void>((done) => silent.bind(53, "127.0.0.9", done));
    const folder = await mkdtemp(join(tmpdir(), "twine-mail-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    await writeFile(join(folder, "hosts"), "127.0.0.1 localhost relay.example\n");
    await writeFile(join(folder, "resolv.conf"), "nameserver 127.0.0.9\n");
    const conf = `a1=data 0 6666 0\nalert-mail ops@example.com\nalert-smtp smtp://relay.example:${server.port}\n`;
    await writeFile(join(folder, "twine.conf"), conf);
    const script =
      'mount --bind "$1/hosts" /etc/hosts && mount --bind "$1/resolv.conf" /etc/resolv.conf && ' +
      'exec "$2" "$3" --test-alert --conf "$1/twine.conf"';
    const words = ["--mount", "sh", "-c", script, "sh", folder, process.execPath];
    const ran = await runCommand("unshare", [...words, binPath("twined", "runtime")], { cwd: "/" });
    expect(ran.stdout, ran.stderr).toMatch(/took the mail for ops@example.com/);
    expect(server.mails).toHaveLength(1);
  },
);

describe("a login", () => {
  const locked: SMTPServerOptions = {
    authOptional: false,
    allowInsecureAuth: true,
    onAuth: (auth, _session, done) => {
      const isRight = auth.username === "twine@example.com" && auth.password === "s3cret";
      if (isRight) done(null, { user: "twine" });
      else done(new Error("wrong password"));
    },
  };

  test("by the user in the URL and the password beside it gets the mail through", async () => {
    const server = await mailServer(locked);
    await server.start();
    await send(`smtp://twine%40example.com@localhost:${server.port}`, { password: "s3cret" });
    expect(server.mails[0]?.from?.address).toBe("twine@example.com");
  });

  test("that is wrong, missing, or wanted and not given is said, and the password is not", async () => {
    const server = await mailServer(locked);
    await server.start();
    const url = `smtp://twine%40example.com@localhost:${server.port}`;
    const wrong = await problemOf(send(url, { password: "pa55word" }));
    expect(wrong.code).toBe("ALERT_SMTP_LOGIN");
    expect(wrong.message).not.toContain("pa55word");
    expect(await problemOf(send(url))).toMatchObject({ code: "ALERT_SMTP_LOGIN" });
    const none = await problemOf(send(`smtp://localhost:${server.port}`));
    expect(none.message).toMatch(/authentication/i);
    expect(server.mails).toEqual([]);
  });
});

describe("TLS", () => {
  test("that the server offers is used unverified when nobody logs in", async () => {
    const server = await mailServer({ disabledCommands: [] });
    await server.start();
    await send(`smtp://localhost:${server.port}`);
    expect(server.envelopes.map(({ isSecure }) => isSecure)).toEqual([true]);
  });

  test("of smtps:// is verified: a certificate that nobody signed is refused", async () => {
    const server = await mailServer({ secure: true });
    await server.start();
    const problem = await problemOf(send(`smtps://localhost:${server.port}`));
    expect(problem.code).toBe("ALERT_SMTP_TLS");
    expect(server.mails).toEqual([]);
  });
});

describe("what is wrong is said with place and remedy:", () => {
  test("nobody listens", async () => {
    const port = await freePort();
    expect(await problemOf(send(`smtp://localhost:${port}`))).toMatchObject({
      code: "ALERT_SMTP_REFUSED",
      message: expect.stringContaining(
        `no SMTP server listens on localhost:${port}, the alert-smtp of twine.conf`,
      ) as string,
    });
  });

  test("all recipients are refused", async () => {
    const server = await mailServer({
      onRcptTo: (_address, _session, done) => {
        done(new Error("relaying denied"));
      },
    });
    await server.start();
    const problem = await problemOf(send(`smtp://localhost:${server.port}`));
    expect(problem.code).toBe("ALERT_MAIL_REFUSED");
    expect(problem.message).toContain("relaying denied");
  });

  test("a server that takes the connection and says nothing is given up", async () => {
    const silent = createServer();
    const port = await freePort();
    await new Promise<void>((resolve) => silent.listen(port, "127.0.0.1", resolve));
    onTestFinished(
      () =>
        new Promise((resolve) => {
          silent.close(() => {
            resolve();
          });
        }),
    );
    // The bound for all of it, brought forward: the test need not wait for the greeting's.
    const hasty: Clock = { ...systemClock, after: (_ms, task) => systemClock.after(50, task) };
    const problem = await problemOf(send(`smtp://localhost:${port}`, { clock: hasty }));
    expect(problem.code).toBe("ALERT_SMTP_SILENT");
  });
});
