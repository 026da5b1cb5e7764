// sender.ts: sends one mail to an SMTP server, by nodemailer. One connection per mail, every step with a time limit, and no
// state: a monitor sends mail a few times a year, and must never wait for a mail server.
//
// TLS: required and verified for smtps:// and for a login, except a login at this machine's own smtp:// server. Otherwise
// smtp:// uses the TLS that the server offers, unverified, as mail servers do with each other
// (https://www.rfc-editor.org/rfc/rfc7435): refusing it would mean plain text.
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { createTransport } from "nodemailer";
import { addressOf } from "../core/cluster.ts";
import { TwineError, type Problem } from "../core/errors.ts";
import type { Clock } from "../ports/clock.ts";
import type { Mail } from "./mail.ts";
import { errorText } from "../core/error-text.ts";

export interface MailRoute {
  readonly to: readonly string[];
  /** smtp://[USER@]HOST[:PORT] or smtps://... */
  readonly smtp: string;
  /** The twine.conf with these settings, for errors. */
  readonly file: string;
}

export interface SenderOptions {
  readonly clock: Clock;
  /** This machine's name: the sender is twine@NAME unless the SMTP user is an address. */
  readonly hostName: string;
  /** The SMTP user's password; may throw a TwineError. */
  readonly password: () => string | undefined;
}

export interface Sent {
  readonly accepted: readonly string[];
  readonly rejected: readonly string[];
  /** The server's last reply. */
  readonly response: string;
}

/** Rejects with ALERT_SMTP_REFUSED, ALERT_SMTP_SILENT, ALERT_SMTP_LOGIN, ALERT_SMTP_TLS, ALERT_MAIL_REFUSED or
    ALERT_FAILED, each with its remedy; also when `signal` is aborted. */
export type SendMail = (route: MailRoute, mail: Mail, signal: AbortSignal) => Promise<Sent>;

const CONNECT_MS = 5000;
const ANSWER_MS = 10_000;
/** For the whole mail: otherwise a server that sends a byte now and then would never end. */
const WHOLE_MS = 30_000;

export function createSender(options: SenderOptions): SendMail {
  return async (route, mail, signal) => {
    const server = serverOf(route);
    const password = server.user === undefined ? undefined : passwordFor(server.user, options);
    const late = new AbortController();
    const cancel = options.clock.after(WHOLE_MS, () => {
      late.abort();
    });
    const ended = AbortSignal.any([signal, late.signal]);
    const address = await lookUp(server.host, ended).catch((cause: unknown) => {
      cancel();
      throw sendError(route, server, cause);
    });
    const transport = createTransport({
      host: address,
      port: server.port,
      secure: server.isSecure,
      ...(password === undefined ? {} : { auth: { user: server.user ?? "", pass: password } }),
      requireTLS: password !== undefined && !server.isLocal,
      tls: {
        rejectUnauthorized: server.isSecure || (password !== undefined && !server.isLocal),
        ...(isIP(server.host) === 0 ? { servername: server.host } : {}),
      },
      connectionTimeout: CONNECT_MS,
      greetingTimeout: CONNECT_MS,
      socketTimeout: ANSWER_MS,
      disableFileAccess: true,
      disableUrlAccess: true,
    });
    try {
      const info = await transport.sendMail({
        from: { name: "Twine", address: senderOf(server.user, options.hostName) },
        to: [...route.to],
        ...mail,
        // https://www.rfc-editor.org/rfc/rfc3834: asks for no out-of-office reply.
        headers: { "Auto-Submitted": "auto-generated" },
        signal: ended,
      });
      const { accepted, rejected, response } = info;
      return { accepted, rejected, response };
    } catch (cause) {
      throw sendError(route, server, cause);
    } finally {
      cancel();
      transport.close();
    }
  };
}

/**
 * The address of the relay by the system's lookup, which uses /etc/hosts even while DNS does not answer. nodemailer asks
 * DNS itself first, and fails before it reads that file.
 */
async function lookUp(host: string, ended: AbortSignal): Promise<string> {
  const found = lookup(addressOf(host)).catch((error: unknown) => {
    const message = error instanceof Error ? error.message : "no address";
    throw Object.assign(new Error(message, { cause: error }), { code: "EDNS" });
  });
  let stop: (() => void) | undefined;
  const late = new Promise<never>((_, reject) => {
    stop = () => {
      reject(Object.assign(new Error(`no answer for the name ${host}`), { code: "EDNS" }));
    };
    ended.addEventListener("abort", stop);
  });
  try {
    return (await Promise.race([found, late])).address;
  } finally {
    if (stop !== undefined) ended.removeEventListener("abort", stop);
  }
}

interface Server {
  readonly host: string;
  readonly port: number;
  readonly user: string | undefined;
  readonly isSecure: boolean;
  readonly isLocal: boolean;
}

function serverOf({ smtp }: MailRoute): Server {
  const url = new URL(smtp);
  const isSecure = url.protocol === "smtps:";
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  return {
    host,
    port: url.port === "" ? (isSecure ? 465 : 25) : Number(url.port),
    user: url.username === "" ? undefined : decodeURIComponent(url.username),
    isSecure,
    isLocal: host === "localhost" || host === "::1" || /^127\./.test(host),
  };
}

function passwordFor(user: string, options: SenderOptions): string {
  const password = options.password();
  if (password !== undefined) return password;
  throw new TwineError({
    code: "ALERT_SMTP_LOGIN",
    message: `alert-smtp names the user ${user}, and there is no password for it`,
    remedy: "let TWINE_SMTP_PASSWORD_FILE name a file that holds it on one line",
  });
}

function senderOf(user: string | undefined, hostName: string): string {
  return user?.includes("@") === true ? user : `twine@${hostName}`;
}

function sendError(route: MailRoute, server: Server, cause: unknown): TwineError {
  const { host, port } = server;
  const place = `${host}:${port}, the alert-smtp of ${route.file}`;
  const said = errorText(cause);
  return new TwineError({ ...problemOf(codeOf(cause), route, place, said) }, { cause });
}

function problemOf(code: string, route: MailRoute, place: string, said: string): Problem {
  switch (code) {
    case "ECONNREFUSED":
      return {
        code: "ALERT_SMTP_REFUSED",
        message: `no SMTP server listens on ${place}`,
        remedy: "start a mail relay there, or name another one: alert-smtp smtp://HOST:PORT",
      };
    case "ETIMEDOUT":
    case "EABORT":
      return {
        code: "ALERT_SMTP_SILENT",
        message: `the SMTP server ${place}, does not answer in time (${said})`,
        remedy:
          "look whether it runs, whether a firewall is between, and whether the port is right",
      };
    case "EDNS":
      return {
        code: "ALERT_SMTP_REFUSED",
        message: `the host of ${place}, has no address (${said})`,
        remedy: "name a host that this machine can look up: alert-smtp smtp://HOST:PORT",
      };
    case "EAUTH":
    case "ENOAUTH":
      return {
        code: "ALERT_SMTP_LOGIN",
        message: `the SMTP server ${place}, refuses the login (${said})`,
        remedy:
          "look at the user in alert-smtp and the password that TWINE_SMTP_PASSWORD_FILE names",
      };
    case "ETLS":
      return {
        code: "ALERT_SMTP_TLS",
        message: `no trusted TLS with the SMTP server ${place} (${said})`,
        remedy: "let NODE_EXTRA_CA_CERTS name the file of its authority, or name another relay",
      };
    case "EENVELOPE":
      return {
        code: "ALERT_MAIL_REFUSED",
        message: `the SMTP server ${place}, refuses mail to ${route.to.join(", ")} (${said})`,
        remedy: "correct alert-mail, or let the relay take mail from this machine",
      };
    default:
      return {
        code: "ALERT_FAILED",
        message: `the SMTP server ${place}, did not take the mail (${said})`,
        remedy: "look at the server's own log; twined --test-alert tries again",
      };
  }
}

/** nodemailer's code; the system's code when nodemailer only reports that the socket failed. */
function codeOf(cause: unknown): string {
  if (!(cause instanceof Error)) return "";
  const code = "code" in cause ? String(cause.code) : "";
  const text = cause.message;
  if (/ECONNREFUSED/.test(text)) return "ECONNREFUSED";
  if (/certificate|self.signed|ssl|tls/i.test(text) && code === "ESOCKET") return "ETLS";
  return code;
}
