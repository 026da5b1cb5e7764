// A rotation of the password on several hosts, whatever order the steps come in and whatever crashes between them: whoever
// connects is let in, replicas too, and at the end the old password opens nothing.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  decideRotation,
  type RotationGoal,
  type RotationNote,
  type RotationStep,
} from "../../runtime/core/rotation.ts";

/** One host as it really is. A node restarts with what its files say; a process reads the password file. */
interface Host {
  file: readonly string[];
  accepts: readonly string[];
  masterauth: string;
  files: { accepts: readonly string[]; masterauth: string };
  isDown: boolean;
}

type Move =
  | {
      readonly kind: "step";
      readonly host: number;
      readonly goal: RotationGoal;
      readonly parts: number;
    }
  /** Reads the notes; what follows from them is done by a later "act", when the others have gone on. */
  | { readonly kind: "read"; readonly host: number; readonly goal: RotationGoal }
  | { readonly kind: "act"; readonly host: number; readonly parts: number }
  | { readonly kind: "restart" | "stop"; readonly host: number };

const NAMES = ["db1", "db2", "db3"];
const [OLD, NEW] = ["old", "new"] as const;

class Model {
  readonly hosts: Host[];
  readonly notes = new Map<string, RotationNote>();
  readonly #decided = new Map<
    number,
    { readonly step: RotationStep; readonly goal: RotationGoal }
  >();

  constructor(count: number) {
    this.hosts = NAMES.slice(0, count).map(() => ({
      file: [OLD],
      accepts: [OLD],
      masterauth: OLD,
      files: { accepts: [OLD], masterauth: OLD },
      isDown: false,
    }));
  }

  /** One round of the tool's loop, cut off after `parts` parts of its step. */
  step(index: number, goal: RotationGoal, parts: number): void {
    this.read(index, goal);
    this.act(index, parts);
  }

  read(index: number, goal: RotationGoal): void {
    const name = NAMES[index] ?? "";
    const step = decideRotation({
      goal,
      hosts: NAMES.slice(0, this.hosts.length),
      here: [name],
      notes: this.notes,
      file: this.hosts[index]?.file ?? [],
      given: goal === "rotate" ? NEW : undefined,
      without: [],
    });
    this.#decided.set(index, { step, goal });
  }

  act(index: number, parts: number): void {
    const host = this.hosts[index];
    const name = NAMES[index] ?? "";
    const decided = this.#decided.get(index);
    this.#decided.delete(index);
    if (host === undefined || decided === undefined) return;
    const { step, goal } = decided;
    if (step.kind === "announce") this.#note(name, step);
    if (step.kind === "refused") this.#withdraw(name, goal);
    if (step.kind !== "apply") return;
    const { passwords } = step;
    const [first = ""] = passwords;
    const all = [
      () => (host.file = passwords),
      () => (host.isDown ? undefined : (host.accepts = passwords)),
      () => (host.isDown ? undefined : (host.masterauth = first)),
      () => (host.files = { accepts: passwords, masterauth: first }),
      () => {
        this.#note(name, step);
      },
    ];
    for (const part of all.slice(0, parts)) part();
  }

  restart(index: number): void {
    const host = this.hosts[index];
    if (host === undefined) return;
    Object.assign(host, host.files, { isDown: false });
  }

  #note(name: string, { passwords, target, intent }: Omit<RotationNote, "at">): void {
    this.notes.set(name, { passwords, target, intent, at: "" });
  }

  /** What was announced for this is not done. */
  #withdraw(name: string, goal: RotationGoal): void {
    const note = this.notes.get(name);
    if (note?.intent === goal) this.notes.set(name, { ...note, intent: null });
  }

  /** Who is shut out of what. */
  shutOut(): string[] {
    const up = this.hosts.filter(({ isDown }) => !isDown);
    return up.flatMap((node) => [
      ...this.hosts
        .filter(({ file }) => !file.some((password) => node.accepts.includes(password)))
        .map(({ file }) => `[${file.join()}] at [${node.accepts.join()}]`),
      ...up
        .filter(({ masterauth }) => !node.accepts.includes(masterauth))
        .map(({ masterauth }) => `replica with ${masterauth} at [${node.accepts.join()}]`),
    ]);
  }
}

const goal = fc.constantFrom<RotationGoal>("rotate", "rotate", "finish", "abort");
const move = (count: number, of: fc.Arbitrary<RotationGoal> = goal): fc.Arbitrary<Move> =>
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant("step" as const),
        host: fc.nat({ max: count - 1 }),
        goal: of,
        parts: fc.oneof(fc.constant(9), fc.nat({ max: 5 })),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant("read" as const),
        host: fc.nat({ max: count - 1 }),
        goal: of,
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant("act" as const),
        host: fc.nat({ max: count - 1 }),
        parts: fc.constantFrom(9, 9, 1, 2, 3),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constantFrom("restart" as const, "stop" as const),
        host: fc.nat({ max: count - 1 }),
      }),
    },
  );

function play(model: Model, moves: readonly Move[]): void {
  for (const made of moves) {
    if (made.kind === "step") model.step(made.host, made.goal, made.parts);
    else if (made.kind === "read") model.read(made.host, made.goal);
    else if (made.kind === "act") model.act(made.host, made.parts);
    else if (made.kind === "restart") model.restart(made.host);
    else {
      const host = model.hosts[made.host];
      if (host !== undefined) host.isDown = true;
    }
    expect(model.shutOut(), JSON.stringify(made)).toEqual([]);
  }
}

/** Runs it on every host again and again, as an operator would, until nothing changes. */
function runOut(model: Model, goal: RotationGoal): void {
  for (let round = 0; round < 12; round++) {
    model.hosts.forEach((_, index) => {
      model.step(index, goal, 9);
    });
    expect(model.shutOut()).toEqual([]);
  }
}

describe("a rotation", () => {
  const games = fc.integer({ min: 1, max: 3 }).chain((count) =>
    fc.record({
      count: fc.constant(count),
      moves: fc.array(move(count), { maxLength: 40 }),
    }),
  );

  test("never shuts anybody out, whatever is cut off, stopped or taken back", () => {
    fc.assert(
      fc.property(games, ({ count, moves }) => {
        play(new Model(count), moves);
      }),
      { numRuns: 2000 },
    );
  });

  test("that is finished and taken back at the same time shuts nobody out", () => {
    // Method: everything uses the new password when the random part begins.
    const goals = fc.constantFrom<RotationGoal>("finish", "abort");
    const moves = fc.array(move(3, goals), { maxLength: 40 });
    fc.assert(
      fc.property(moves, (made) => {
        const model = new Model(3);
        runOut(model, "rotate");
        play(model, made);
      }),
      { numRuns: 3000 },
    );
  });

  test("can be ended one way or the other from wherever it was left", () => {
    fc.assert(
      fc.property(games, ({ count, moves }) => {
        const model = new Model(count);
        play(model, moves);
        model.hosts.forEach((_, index) => {
          model.restart(index);
        });
        // An abort that several hosts have begun is ended first.
        runOut(model, "abort");
        runOut(model, "rotate");
        runOut(model, "finish");
        const states = JSON.stringify([...model.notes]);
        const all = model.hosts.flatMap(({ accepts, file, files, masterauth }) => [
          ...[accepts, file, files.accepts, [masterauth], [files.masterauth]].map(String),
        ]);
        expect(new Set(all), states).toEqual(new Set([NEW]));
      }),
      { numRuns: 1000 },
    );
  });

  test("is not taken back while another host may use the new password before its note says so", () => {
    const model = new Model(2);
    model.step(1, "rotate", 9);
    model.step(0, "rotate", 9);
    // Cut off before the note.
    model.step(0, "rotate", 4);
    model.step(1, "abort", 9);
    model.step(1, "abort", 9);
    expect(model.shutOut()).toEqual([]);
    runOut(model, "abort");
    // Decided before the other host turned back, and done after that.
    runOut(model, "rotate");
    runOut(model, "abort");
    model.step(0, "rotate", 9);
    model.step(1, "rotate", 9);
    model.read(0, "rotate");
    for (let round = 0; round < 3; round++) model.step(1, "abort", 9);
    model.act(0, 9);
    expect(model.shutOut()).toEqual([]);
    runOut(model, "abort");
  });

  test("that nobody has finished can be taken back everywhere", () => {
    fc.assert(
      fc.property(games, ({ count, moves }) => {
        const model = new Model(count);
        play(
          model,
          moves.filter((made) => !("goal" in made) || made.goal === "rotate"),
        );
        model.hosts.forEach((_, index) => {
          model.restart(index);
        });
        runOut(model, "abort");
        expect(model.hosts.map(({ accepts, file }) => [...accepts, ...file].join())).toEqual(
          model.hosts.map(() => `${OLD},${OLD}`),
        );
      }),
      { numRuns: 1000 },
    );
  });
});
