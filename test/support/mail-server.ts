// mail-server.ts: a real SMTP server on a free port of 127.0.0.1 for one test, and the mails that it took, read.
import PostalMime, { type Email } from "postal-mime";
import { SMTPServer, type SMTPServerOptions } from "smtp-server";
import { onTestFinished } from "vitest";
import { freePort } from "./port-claims.ts";

export interface TestMailServer {
  readonly port: number;
  readonly mails: readonly Email[];
  /** Whom each mail was for, and whether it came over TLS. */
  readonly envelopes: readonly { readonly recipients: readonly string[]; isSecure: boolean }[];
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Not started. It takes mail without a login unless `options` say otherwise, and offers no STARTTLS. */
export async function mailServer(options: SMTPServerOptions = {}): Promise<TestMailServer> {
  const port = await freePort();
  const mails: Email[] = [];
  const envelopes: { recipients: string[]; isSecure: boolean }[] = [];
  let server: SMTPServer | undefined;
  const start = async (): Promise<void> => {
    const fresh = new SMTPServer({
      authOptional: true,
      disabledCommands: ["STARTTLS"],
      logger: false,
      onData: (stream, session, done) => {
        const chunks: Buffer[] = [];
        stream.on("data", (chunk: Buffer) => chunks.push(chunk));
        stream.on("end", () => {
          void PostalMime.parse(Buffer.concat(chunks)).then((mail) => {
            mails.push(mail);
            const { envelope, secure } = session;
            const recipients = envelope.rcptTo.map(({ address }) => address);
            envelopes.push({ recipients, isSecure: secure });
            done();
          }, done);
        });
      },
      ...options,
    });
    // A client that breaks off is part of the tests.
    fresh.on("error", () => undefined);
    await new Promise<void>((resolve) => fresh.listen(port, "127.0.0.1", resolve));
    server = fresh;
  };
  const stop = async (): Promise<void> => {
    const old = server;
    server = undefined;
    if (old !== undefined) {
      await new Promise<void>((resolve) => {
        old.close(resolve);
      });
    }
  };
  onTestFinished(stop);
  return { port, mails, envelopes, start, stop };
}
