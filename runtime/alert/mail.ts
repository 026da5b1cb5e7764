// mail.ts: a mail's subject, text and HTML from the same model. Pure: the caller reads the templates.
// templates/mail-alert.txt.hbs and mail-alert.html.hbs have the layout.
import Handlebars from "handlebars";
import type { View } from "../core/view.ts";
import { settleMs, type Incident, type Item } from "./incidents.ts";

export interface Mail {
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

export interface MailTemplates {
  readonly text: string;
  readonly html: string;
}

export interface MailFacts {
  readonly view: View;
  /** The monitor that sends the mail. */
  readonly monitor: string;
  readonly items: readonly Item[];
  /** Open incidents that were mailed before. */
  readonly health: readonly Incident[];
  readonly alertAfterMs: number;
}

/** The most incidents in a list: a dead host may have hundreds of nodes. */
const ITEMS_SHOWN = 50;
const NAMES_SHOWN = 4;

const TITLES = {
  begun: "What happened",
  over: "What is over",
  passed: "What was over before it could be mailed",
} as const;

/** A mail about incidents. Throws Handlebars's error for a broken template. */
export function incidentMail(facts: MailFacts, templates: MailTemplates): Mail {
  const { view, items, health, alertAfterMs, monitor } = facts;
  const subject = `[twine ${view.cluster}] ${subjectOf(items)}`;
  const sections = (["begun", "over", "passed"] as const).map((kind) => ({
    title: TITLES[kind],
    ...shown(items.filter((item) => item.kind === kind).map(({ incident }) => incident)),
  }));
  const all = [...sections, { title: "What is still so", ...shown(health) }];
  const model = {
    subject,
    cluster: view.cluster,
    state: view.state,
    intro: `The cluster ${view.cluster} is ${view.state}.${rotationText(view)}`,
    sections: all
      .filter(({ rows }) => rows.length > 0)
      .map((section) => ({
        ...section,
        rows: section.rows.map((incident) => rowOf(incident, alertAfterMs)),
      })),
    footer: `From monitor ${monitor}, alpha of epoch ${view.epoch}. twine-status shows the present state.`,
  };
  return rendered(model, templates);
}

function rotationText({ rotation }: View): string {
  if (rotation === undefined) return "";
  return ` Its password is being rotated since ${utc(rotation.since)} (twine-password shows how far).`;
}

/** The mail of `twined --test-alert`. */
export function testMail(cluster: string, monitor: string, templates: MailTemplates): Mail {
  const model = {
    subject: `[twine ${cluster}] test`,
    cluster,
    state: "",
    intro: `This is a test: mail about the cluster ${cluster} reaches you.`,
    sections: [],
    footer: `From ${monitor}. Nothing has happened.`,
  };
  return rendered(model, templates);
}

interface MailModel {
  readonly subject: string;
  readonly cluster: string;
  /** Empty in a test mail. */
  readonly state: string;
  readonly intro: string;
  readonly sections: readonly {
    readonly title: string;
    readonly rows: readonly ReturnType<typeof rowOf>[];
    readonly more: number;
  }[];
  readonly footer: string;
}

function rendered(model: MailModel, templates: MailTemplates): Mail {
  const engine = Handlebars.create();
  const options = { strict: true, knownHelpersOnly: true };
  return {
    subject: model.subject,
    text: engine.compile<MailModel>(templates.text, { ...options, noEscape: true })(model),
    html: engine.compile<MailModel>(templates.html, options)(model),
  };
}

function shown(incidents: readonly Incident[]): { rows: readonly Incident[]; more: number } {
  const more = Math.max(0, incidents.length - ITEMS_SHOWN);
  return { rows: incidents.slice(0, ITEMS_SHOWN), more };
}

function rowOf(incident: Incident, alertAfterMs: number) {
  const { what, need, beganAt, endedAt, phase, times } = incident;
  const isOver = phase === "over";
  const well = secondsText(settleMs(times, alertAfterMs));
  return {
    what: isOver ? pastOf(what) : what,
    when:
      isOver && endedAt !== null ? `${utc(beganAt)} to ${utc(endedAt)}` : `since ${utc(beganAt)}`,
    need: isOver ? "" : need,
    again:
      times > 1 && !isOver
        ? `for the ${ordinal(times)} time; its end is mailed once it has been well for ${well}`
        : "",
  };
}

function pastOf(what: string): string {
  return what
    .replace(" has no master", " had no master")
    .replace(" can be neither", " could be neither")
    .replace(/ is dead$/, " was dead")
    .replace(/^the backup fails/, "the backup failed");
}

/** Worst first; at most four names of each kind. */
function subjectOf(items: readonly Item[]): string {
  const subjects = (kind: Item["kind"][], what: Incident["kind"]): string[] =>
    items
      .filter(({ kind: of, incident }) => kind.includes(of) && incident.kind === what)
      .map(({ incident }) => incident.subject);
  const parts = [
    sentence(subjects(["begun"], "halt"), "HALT: ", "has no master", "have no master"),
    sentence(subjects(["begun"], "dead"), "", "is dead", "are dead"),
    sentence(subjects(["begun"], "backup"), "", "fails", "fail"),
    sentence(subjects(["over"], "halt"), "", "has a master again", "have masters again"),
    sentence(subjects(["over"], "dead"), "", "is back", "are back"),
    sentence(subjects(["over"], "backup"), "", "works again", "work again"),
    sentence(subjects(["passed"], "halt"), "", "had no master", "had no master"),
    sentence(subjects(["passed"], "dead"), "", "was dead", "were dead"),
    sentence(subjects(["passed"], "backup"), "", "failed", "failed"),
  ];
  return parts.filter((part) => part !== "").join("; ");
}

function sentence(names: readonly string[], before: string, one: string, many: string): string {
  if (names.length === 0) return "";
  const listed = names.slice(0, NAMES_SHOWN).join(", ");
  const more = names.length > NAMES_SHOWN ? ` and ${names.length - NAMES_SHOWN} more` : "";
  return `${before}${listed}${more} ${names.length === 1 ? one : many}`;
}

function ordinal(count: number): string {
  const ending =
    count % 100 >= 11 && count % 100 <= 13 ? "th" : ["th", "st", "nd", "rd"][count % 10];
  return `${count}${ending ?? "th"}`;
}

function secondsText(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  return seconds < 120 ? `${seconds} seconds` : `${Math.ceil(seconds / 60)} minutes`;
}

/** 2026-03-01T10:00:07.123Z -> 2026-03-01 10:00:07 UTC; any other text is returned unchanged. */
function utc(time: string): string {
  return time.replace(/^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z$/, "$1 $2 UTC");
}
