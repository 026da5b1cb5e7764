// encryption.ts: backups encrypted to public keys in the age format, by its author's library, which is loaded when a key is
// used. The cluster holds public keys alone, so that it can't read its own old backups.
//
//   plain bytes --64 KB at a time, each authenticated--> age file        (seal)
//   age file --identity--> plain bytes; a byte that was changed, or an end that is missing, is an error       (open)
//
// Memory: the library works on 64 KB pieces; beside one of them, what was pushed is held once.
import { damagedKey, parseAgeKeys, type AgeKeyKind } from "../core/age-keys.ts";
import { TwineError } from "../core/errors.ts";
import { readSmallFile } from "../ports/small-file.ts";
import type { Encoder } from "./compression.ts";
import { errorText } from "../core/error-text.ts";

/** Whom backups are encrypted to. */
export interface Recipients {
  /** Public keys, age1... */
  readonly keys: readonly string[];
  /** For one file. */
  seal(): Promise<Encoder>;
}

/** Who can read them. */
export interface Identities {
  /** The file that holds them, for messages. */
  readonly file: string;
  /** Their public keys. */
  readonly keys: readonly string[];
  open(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer>;
}

const KEY_FILE_BYTES_MAX = 64 * 1024;

/** Throws BACKUP_KEY_BAD with every line that is wrong. `file` is absolute. */
export async function readRecipients(file: string): Promise<Recipients> {
  const keys = readKeys(file, "public");
  const { Encrypter } = await import("age-encryption");
  const encrypter = new Encrypter();
  for (const [index, key] of keys.entries()) {
    undamaged(file, "public", index, () => {
      encrypter.addRecipient(key);
    });
  }
  return { keys, seal: () => StreamSealer.open((plain) => encrypter.encrypt(plain)) };
}

/** Throws IDENTITY_BAD with every line that is wrong. `file` is as it was given. */
export async function readIdentities(file: string): Promise<Identities> {
  const secrets = readKeys(file, "secret");
  const { Decrypter, identityToRecipient } = await import("age-encryption");
  const decrypter = new Decrypter();
  for (const [index, secret] of secrets.entries()) {
    undamaged(file, "secret", index, () => {
      decrypter.addIdentity(secret);
    });
  }
  const keys = await Promise.all(secrets.map((secret) => identityToRecipient(secret)));
  return {
    file,
    keys,
    async *open(chunks) {
      const plain = await decrypter.decrypt(ReadableStream.from<Uint8Array>(chunks));
      for await (const bytes of plain) yield bufferOf(bytes);
    },
  };
}

/** Throws IDENTITY_NEEDED or IDENTITY_WRONG: `what` is encrypted to `keys`, and none of them is here. */
export function requireIdentity(
  what: string,
  keys: readonly string[],
  identities: Identities | undefined,
): Identities {
  const message = `${what} is encrypted to ${keys.join(", ")}`;
  const remedy = "give the file with the secret key of one of these: --identity FILE";
  if (identities === undefined) {
    throw new TwineError({ code: "IDENTITY_NEEDED", message, remedy });
  }
  if (identities.keys.some((key) => keys.includes(key))) return identities;
  const other = `${identities.file} holds the key of ${identities.keys.join(", ")}`;
  throw new TwineError({ code: "IDENTITY_WRONG", message: `${message}, and ${other}`, remedy });
}

function readKeys(file: string, kind: AgeKeyKind): readonly string[] {
  const { keys, problems } = parseAgeKeys(textOf(file, kind), file, kind);
  if (problems.length > 0) throw new TwineError(problems);
  return keys;
}

function textOf(file: string, kind: AgeKeyKind): string {
  try {
    return readSmallFile(file, KEY_FILE_BYTES_MAX).text;
  } catch (error) {
    const [code, what] =
      kind === "public" ? ["BACKUP_KEY_BAD", "backup-key"] : ["IDENTITY_BAD", "--identity"];
    const why = errorText(error);
    const remedy =
      kind === "public"
        ? "write a public key that age-keygen prints into that file, or correct the line"
        : "name the file that age-keygen wrote";
    throw new TwineError({ code, message: `${what} ${file}: ${why}`, remedy }, { cause: error });
  }
}

function undamaged(file: string, kind: AgeKeyKind, index: number, add: () => void): void {
  try {
    add();
  } catch (error) {
    throw new TwineError(damagedKey(file, kind, index), { cause: error });
  }
}

class StreamSealer implements Encoder {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #drained: Promise<void>;
  #out: Buffer[] = [];

  private constructor(
    writer: WritableStreamDefaultWriter<Uint8Array>,
    sealed: ReadableStream<Uint8Array>,
  ) {
    this.#writer = writer;
    this.#drained = this.#drain(sealed);
    // Whoever pushes or ends next gets it.
    this.#drained.catch(() => undefined);
  }

  static async open(
    encrypt: (plain: ReadableStream<Uint8Array>) => Promise<ReadableStream<Uint8Array>>,
  ): Promise<StreamSealer> {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    return new StreamSealer(writable.getWriter(), await encrypt(readable));
  }

  async push(bytes: Buffer): Promise<readonly Buffer[]> {
    // A copy: the stream may still hold it when whoever pushed it uses its memory again.
    await this.#writer.write(Uint8Array.from(bytes));
    return this.#taken();
  }

  async end(): Promise<readonly Buffer[]> {
    await this.#writer.close();
    await this.#drained;
    return this.#taken();
  }

  async #drain(sealed: ReadableStream<Uint8Array>): Promise<void> {
    for await (const bytes of sealed) this.#out.push(bufferOf(bytes));
  }

  #taken(): readonly Buffer[] {
    const out = this.#out;
    this.#out = [];
    return out;
  }
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
