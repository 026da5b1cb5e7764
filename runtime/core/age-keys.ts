// age-keys.ts: files with keys of age, as age-keygen writes them: one key per line, # before a comment. Pure.
//
//   backup-key FILE     public keys, age1...: backups are encrypted to them
//   --identity FILE     secret keys, AGE-SECRET-KEY-1...: any one of them decrypts a backup
import type { Problem } from "./errors.ts";

export type AgeKeyKind = "public" | "secret";

/** Parses a file of keys. Returns the keys in order, or a problem for each bad line (at most 3), with its location. */
export function parseAgeKeys(
  text: string,
  file: string,
  kind: AgeKeyKind,
): { readonly keys: readonly string[]; readonly problems: readonly Problem[] } {
  const keys: string[] = [];
  const problems: Problem[] = [];
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) continue;
    if (FORMS[kind].test(line)) {
      keys.push(line);
      continue;
    }
    const at = { file, line: index + 1, column: raw.length - raw.trimStart().length + 1 };
    problems.push({ ...problemWith(line, kind), at });
    // A file of another kind would give an error in every line.
    if (problems.length === PROBLEMS_MAX) break;
  }
  if (keys.length === 0 && problems.length === 0) {
    problems.push({ code: CODES[kind], message: `${file} holds no key`, remedy: REMEDIES[kind] });
  }
  return { keys, problems };
}

/** The problem of a key that has the right form but that the library rejects: a character is wrong. */
export function damagedKey(file: string, kind: AgeKeyKind, which: number): Problem {
  return {
    code: CODES[kind],
    message: `${file}: key ${which + 1} is damaged: its checksum is wrong`,
    remedy: REMEDIES[kind],
  };
}

const PROBLEMS_MAX = 3;
/** Bech32. Keys of plug-ins are not accepted: twine-restore could not use their identities. */
const FORMS: Readonly<Record<AgeKeyKind, RegExp>> = {
  public: /^age1(pq1)?[02-9ac-hj-np-z]{6,}$/,
  secret: /^AGE-SECRET-KEY-(PQ-)?1[02-9AC-HJ-NP-Z]{6,}$/,
};
const CODES: Readonly<Record<AgeKeyKind, string>> = {
  public: "BACKUP_KEY_BAD",
  secret: "IDENTITY_BAD",
};
const REMEDIES: Readonly<Record<AgeKeyKind, string>> = {
  public: "write a public key that age-keygen prints, age1..., one per line",
  secret: "give the file that age-keygen wrote, with a line AGE-SECRET-KEY-1...",
};

/** The line itself is never shown: it may be a secret. */
function problemWith(line: string, kind: AgeKeyKind): Omit<Problem, "at"> {
  const code = CODES[kind];
  if (line.startsWith("AGE-SECRET-KEY-") && kind === "public") {
    return {
      code,
      message: "this is a secret key, with which this machine could read its own backups",
      remedy:
        "write the public key instead (age-keygen -y prints it), and keep the secret one elsewhere",
    };
  }
  if (line.startsWith("age1") && kind === "secret") {
    const message = "this is a public key, which can't decrypt";
    return { code, message, remedy: REMEDIES[kind] };
  }
  if (line.startsWith("ssh-") || line.startsWith("-----BEGIN OPENSSH")) {
    return { code, message: "SSH keys are not supported", remedy: REMEDIES[kind] };
  }
  if (line.startsWith("age-encryption.org/") || line.startsWith("-----BEGIN AGE")) {
    const remedy = "decrypt it first: age -d FILE > identity";
    return { code, message: "this key file is itself encrypted", remedy };
  }
  return { code, message: `this line is no ${kind} key of age`, remedy: REMEDIES[kind] };
}
