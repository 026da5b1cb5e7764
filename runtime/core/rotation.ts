// rotation.ts: decides one machine's next step in a rotation of the cluster's password. Pure.
//
// A password file holds the password to use and, during a rotation, the other accepted one. The whole host applies it:
// its nodes accept exactly these passwords; its data nodes authenticate to their masters with the first; its monitors and
// routers use the first. When a host has applied its file, it writes a note on the status nodes. O is the old password, N
// the new one:
//
//   --rotate   [O] -> [O N]   nodes accept both                                         at once
//                  -> [N O]   everything here uses the new one                          every host accepts both
//   --finish       -> [N]     the old one is refused                                    every host uses the new one
//   --abort  [N O] -> [O N] -> [O]   the same way back                                  every host has turned back
//
// Invariant: every host accepts the first password of every other host, whichever process crashes. Why notes and no vote:
// each host writes only its own note, and each step waits until all notes allow it, so the order in which notes are seen
// does not matter.
//
// Finish and abort exclude each other: each announces itself first and then reads the notes of the other hosts.
export interface RotationNote {
  /** Fingerprints of the passwords that the host has applied; the first is the one in use. */
  readonly passwords: readonly string[];
  /** Fingerprint of the new password; null when the host is not rotating. */
  readonly target: string | null;
  /** After this announcement the host does not change direction by itself. */
  readonly intent: "finish" | "abort" | null;
  /** ISO 8601. */
  readonly at: string;
}

export type RotationGoal = "rotate" | "finish" | "abort";

export interface RotationInput {
  readonly goal: RotationGoal;
  /** All hosts of twine.conf, and those of this machine, which share one password file. */
  readonly hosts: readonly string[];
  readonly here: readonly string[];
  /** By host. */
  readonly notes: ReadonlyMap<string, RotationNote>;
  /** Fingerprints of the passwords in the file, one or two. */
  readonly file: readonly string[];
  /** Fingerprint of the new password, if the caller has one. */
  readonly given: string | undefined;
  /** Hosts whose notes are ignored. */
  readonly without: readonly string[];
}

export type RotationStep =
  /** Write the file with these passwords, apply it on this machine, then write the note. */
  | ({ readonly kind: "apply" } & Omit<RotationNote, "at">)
  /** Write only the note, and read the notes of the other hosts after that. */
  | ({ readonly kind: "announce" } & Omit<RotationNote, "at">)
  /** Wait until these hosts have reached the same step. */
  | { readonly kind: "wait"; readonly hosts: readonly string[]; readonly goal: RotationGoal }
  | { readonly kind: "done"; readonly behind: readonly string[] }
  | { readonly kind: "refused"; readonly code: RotationRefusal; readonly hosts: readonly string[] };

export type RotationRefusal =
  /** A new password is needed, and none was given. */
  | "ROTATION_NO_PASSWORD"
  /** The given password is the present one. */
  | "ROTATION_SAME_PASSWORD"
  /** A rotation to another new password is in progress. */
  | "ROTATION_OTHER_PASSWORD"
  | "ROTATION_ABORTING"
  | "ROTATION_FINISHING"
  /** The other hosts rotate, and this machine has not begun. */
  | "ROTATION_NOT_BEGUN";

export function decideRotation(input: RotationInput): RotationStep {
  const [first = "", second] = input.file;
  if (second === undefined) return decideSingle(input, first);
  const target = input.given ?? knownTarget(input) ?? second;
  if (!input.file.includes(target)) return refused("ROTATION_OTHER_PASSWORD", input.here);
  const old = first === target ? second : first;
  return input.goal === "abort"
    ? decideBack(input, old, target)
    : decideForward(input, old, target);
}

/** The file has one password: before the rotation or after it. */
function decideSingle(input: RotationInput, first: string): RotationStep {
  const { goal, given, here } = input;
  const others = othersNotes(input).filter(([host]) => !input.without.includes(host));
  if (goal !== "abort" && given !== undefined && given !== first) {
    const between = others.filter(([, { passwords }]) => passwords.length > 1);
    const odd = between.filter(([, { passwords }]) => !passwords.includes(given));
    if (odd.length > 0) return refused("ROTATION_OTHER_PASSWORD", namesIn(odd));
    const aborting = between.filter(([, { intent }]) => intent === "abort");
    if (aborting.length > 0) return refused("ROTATION_ABORTING", namesIn(aborting));
    return { kind: "apply", passwords: [first, given], target: given, intent: null };
  }
  // The other hosts use, or are about to use, a password that this machine does not have.
  const ahead = others.filter(
    ([, { target, intent, passwords }]) =>
      target !== first && (!passwords.includes(first) || (target !== null && intent !== "abort")),
  );
  if (goal === "abort" && ahead.some(([, { passwords }]) => !passwords.includes(first))) {
    return refused("ROTATION_FINISHING", namesIn(ahead));
  }
  if (goal !== "abort" && ahead.length > 0) return refused("ROTATION_NOT_BEGUN", namesIn(ahead));
  const isNoted = (host: string): boolean => {
    const note = input.notes.get(host);
    return note !== undefined && note.intent === null && same(note.passwords, [first]);
  };
  const isBeginning = goal === "rotate" && given === undefined;
  const isKnown = others.length > 0 || here.some((host) => input.notes.has(host));
  if (goal === "rotate" && !isKnown) {
    return refused(isBeginning ? "ROTATION_NO_PASSWORD" : "ROTATION_SAME_PASSWORD", here);
  }
  if (!here.every(isNoted)) {
    return { kind: "apply", passwords: [first], target: null, intent: null };
  }
  if (isBeginning) return refused("ROTATION_NO_PASSWORD", here);
  if (goal === "rotate") return refused("ROTATION_SAME_PASSWORD", here);
  return { kind: "done", behind: behind(input, ({ passwords }) => same(passwords, [first])) };
}

function decideForward(input: RotationInput, old: string, target: string): RotationStep {
  const aborting = othersNotes(input).filter(([, { intent }]) => intent === "abort");
  if (aborting.length > 0) return refused("ROTATION_ABORTING", namesIn(aborting));
  const step = (passwords: readonly string[], intent: RotationNote["intent"] = null) =>
    ({ passwords, target, intent }) as const;
  if (!isFollowed(input)) return { kind: "apply", ...step(input.file) };
  // Cancels an abort or a finish that this machine had begun.
  const isRenewed = input.here.every((host) => input.notes.get(host)?.intent === null);
  if (input.goal === "rotate" && !isRenewed) return { kind: "announce", ...step(input.file) };
  if (input.file[0] === old) {
    const late = behind(input, ({ passwords }) => passwords.includes(target));
    if (late.length > 0) return { kind: "wait", hosts: late, goal: "rotate" };
    return { kind: "apply", ...step([target, old]) };
  }
  const late = behind(input, ({ passwords }) => passwords[0] === target);
  if (input.goal === "rotate") return { kind: "done", behind: late };
  if (late.length > 0) return { kind: "wait", hosts: late, goal: "rotate" };
  if (!isAnnounced(input, "finish")) return { kind: "announce", ...step(input.file, "finish") };
  return { kind: "apply", ...step([target]), target: null };
}

function decideBack(input: RotationInput, old: string, target: string): RotationStep {
  const finishing = othersNotes(input).filter(
    ([, { passwords, intent }]) => intent === "finish" || same(passwords, [target]),
  );
  if (finishing.length > 0) return refused("ROTATION_FINISHING", namesIn(finishing));
  const step = (passwords: readonly string[], intent: RotationNote["intent"] = "abort") =>
    ({ passwords, target, intent }) as const;
  if (!isAnnounced(input, "abort")) {
    // Passwords that this machine has not applied yet are not noted: a note may claim less, never more. But whoever may
    // use the new one already, since it crashed before its note, says so: all its nodes accept both.
    const applied = input.notes.get(input.here[0] ?? "")?.passwords ?? [old];
    const noted = input.file[0] === target ? input.file : applied;
    return { kind: "announce", ...step(noted) };
  }
  if (input.file[0] === target) return { kind: "apply", ...step([old, target]) };
  if (!isFollowed(input)) return { kind: "apply", ...step(input.file) };
  // A host that accepts both and has not turned back may use the new one before its note says so.
  const late = behind(
    input,
    ({ passwords, intent }) =>
      passwords[0] !== target && (intent === "abort" || passwords.length === 1),
    "absent is fine",
  );
  if (late.length > 0) return { kind: "wait", hosts: late, goal: "abort" };
  return { kind: "apply", ...step([old], null), target: null };
}

/** The target that a note names and that the file contains. This machine's notes come first. */
function knownTarget({ here, notes, file }: RotationInput): string | undefined {
  const own = here.map((host) => notes.get(host));
  const all = [...own, ...notes.values()];
  return all.flatMap((note) => note?.target ?? []).find((target) => file.includes(target));
}

function othersNotes({ hosts, here, notes }: RotationInput): [string, RotationNote][] {
  return hosts
    .filter((host) => !here.includes(host))
    .flatMap((host): [string, RotationNote][] => {
      const note = notes.get(host);
      return note === undefined ? [] : [[host, note]];
    });
}

function namesIn(notes: readonly (readonly [string, RotationNote])[]): string[] {
  return notes.map(([host]) => host);
}

/** Hosts of other machines, without the ignored ones, whose note is not far enough. */
function behind(
  { hosts, here, notes, without }: RotationInput,
  isFarEnough: (note: RotationNote) => boolean,
  absent?: "absent is fine",
): string[] {
  return hosts.filter((host) => {
    if (here.includes(host) || without.includes(host)) return false;
    const note = notes.get(host);
    return note === undefined ? absent === undefined : !isFarEnough(note);
  });
}

/** Whether all hosts of this machine have applied the file. */
function isFollowed({ here, notes, file }: RotationInput): boolean {
  return here.every((host) => same(notes.get(host)?.passwords ?? [], file));
}

function isAnnounced({ here, notes }: RotationInput, intent: "finish" | "abort"): boolean {
  return here.every((host) => notes.get(host)?.intent === intent);
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text, index) => text === b[index]);
}

function refused(code: RotationRefusal, hosts: readonly string[]): RotationStep {
  return { kind: "refused", code, hosts };
}
