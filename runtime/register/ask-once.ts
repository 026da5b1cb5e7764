// ask-once.ts: one request to the alpha on its own connections. Returns a refusal instead of throwing.
import { randomUUID } from "node:crypto";
import { TwineError } from "../core/errors.ts";
import { errorText } from "../core/error-text.ts";
import type { RequestBody } from "../core/request.ts";
import type { StatusNodesOptions } from "./acceptors.ts";
import { askAlpha } from "./ask-alpha.ts";
import { openSharedHashes } from "./shared-hashes.ts";

/** A handover takes a fraction of a second; the election of a new alpha may come first. */
const ANSWER_WITHIN_MS = 15_000;

/** undefined if the alpha executed the request, else the reason why not. Never rejects. */
export async function refusalOf(
  options: StatusNodesOptions,
  body: RequestBody,
): Promise<string | undefined> {
  const hashes = openSharedHashes({ ...options, user: "monitor" });
  const { clock } = options;
  try {
    await askAlpha(hashes, body, { clock, id: randomUUID(), withinMs: ANSWER_WITHIN_MS });
    return undefined;
  } catch (error) {
    return error instanceof TwineError ? (error.problems[0]?.message ?? "") : errorText(error);
  } finally {
    await hashes.close();
  }
}
