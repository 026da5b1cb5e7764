// test-alert.ts: sends one mail on demand, so that broken mail is found before an emergency.
import { TwineError } from "../core/errors.ts";
import { testMail, type MailTemplates } from "./mail.ts";
import type { MailRoute, SendMail, Sent } from "./sender.ts";

export interface TestAlert {
  readonly cluster: string;
  /** The sender, for the reader of the mail. */
  readonly from: string;
  readonly route: MailRoute;
  readonly templates: MailTemplates;
  readonly send: SendMail;
}

/** Sends one mail. Rejects with ALERT_UNSET without an address, ALERT_MAIL_REFUSED when some addresses were refused, or the
    sender's errors. */
export async function sendTestAlert(test: TestAlert): Promise<Sent> {
  const { route, send, cluster, from, templates } = test;
  if (route.to.length === 0) {
    throw new TwineError({
      code: "ALERT_UNSET",
      message: `${route.file} has no alert-mail line`,
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
