// test-alert.ts: one mail on demand, so that nobody learns in an emergency that mail doesn't get through.
import { TwineError } from "../core/errors.ts";
import { testMail, type MailTemplates } from "./mail.ts";
import type { MailRoute, SendMail, Sent } from "./sender.ts";

export interface TestAlert {
  readonly cluster: string;
  /** Who sends, for the reader. */
  readonly from: string;
  readonly route: MailRoute;
  readonly templates: MailTemplates;
  readonly send: SendMail;
}

/** Sends it once. Rejects with ALERT_UNSET without an address, ALERT_MAIL_REFUSED when some were refused, and with the
    sender's errors. */
export async function sendTestAlert(test: TestAlert): Promise<Sent> {
  const { route, send, cluster, from, templates } = test;
  if (route.to.length === 0) {
    throw new TwineError({
      code: "ALERT_UNSET",
      message: `${route.file} names nobody to mail`,
      remedy: "add a line: alert-mail NAME@DOMAIN",
    });
  }
  const mail = testMail(cluster, from, templates);
  const sent = await send(route, mail, new AbortController().signal);
  if (sent.rejected.length === 0) return sent;
  throw new TwineError({
    code: "ALERT_MAIL_REFUSED",
    message:
      `the SMTP server took the mail for ${sent.accepted.join(", ")} ` +
      `and refused ${sent.rejected.join(", ")}`,
    remedy: `correct alert-mail in ${route.file}`,
  });
}
