// running-files.ts: reads and writes the files in /etc/twine of a running container. They are in the container's own layer,
// so they persist when it restarts.
import { systemClock } from "../../../runtime/ports/clock.ts";
import { CONTAINER_PATHS } from "../../plan/container-files.ts";
import { callEngine, isMissing } from "../engine-call.ts";
import type { EndpointArgs } from "../endpoints.ts";
import { packTar, readTar } from "../tar.ts";
import type { LastUpload } from "./last-deployment.ts";

/** The wanted content of one file. */
export interface WantedFile {
  readonly content: Buffer;
  readonly mode: number;
  readonly uid: number;
}

export interface RunningContainer {
  readonly endpoint: EndpointArgs;
  /** Id or name. */
  readonly id: string;
}

/** Name in /etc/twine -> file. */
export function wantedFiles(uploads: readonly LastUpload[]): Map<string, WantedFile> {
  const prefix = `${CONTAINER_PATHS.files}/`;
  return new Map(
    uploads.map(({ file, content, contentBase64, permissions, owner }) => [
      file.slice(prefix.length),
      {
        content:
          contentBase64 === undefined
            ? Buffer.from(content ?? "")
            : Buffer.from(contentBase64, "base64"),
        mode: Number.parseInt(permissions ?? "0644", 8),
        uid: Number(owner ?? 0),
      },
    ]),
  );
}

/** Name in /etc/twine -> content. */
export async function readFiles({
  endpoint,
  id,
}: RunningContainer): Promise<ReadonlyMap<string, Buffer>> {
  const path = encodeURIComponent(CONTAINER_PATHS.files);
  const archive = await callEngine(endpoint, `/containers/${id}/archive?path=${path}`);
  // An archive of a folder begins with the folder's own name.
  const files = [...readTar(archive)].map(
    ([name, content]) => [name.slice(name.indexOf("/") + 1), content] as const,
  );
  return new Map(files);
}

/** Each file is replaced as a whole: a running script continues with the file that it opened. */
export async function writeFiles(
  { endpoint, id }: RunningContainer,
  files: ReadonlyMap<string, WantedFile>,
): Promise<void> {
  const path = encodeURIComponent(CONTAINER_PATHS.files);
  const entries = [...files].map(([name, { content, mode, uid }]) => ({
    ...{ path: name, content, mode, uid },
    gid: 0,
  }));
  const order = { method: "PUT", body: packTar(entries, nextModifiedS()) } as const;
  await callEngine(endpoint, `/containers/${id}/archive?path=${path}`, order);
}

let lastS = 0;

/** A different time for each write: readers detect a new file by it. */
function nextModifiedS(): number {
  lastS = Math.max(lastS + 1, Math.floor(Date.parse(systemClock.wallTime()) / 1000));
  return lastS;
}

/** In the form of containerChange(). */
export function textsOf(
  files: ReadonlyMap<string, WantedFile> | ReadonlyMap<string, Buffer>,
): Map<string, string> {
  return new Map(
    [...files].map(([name, file]) => [
      name,
      (Buffer.isBuffer(file) ? file : file.content).toString("latin1"),
    ]),
  );
}

/** Whether the container runs: a stopped one reads its files when it starts. Rejects when the engine can't be asked. */
export async function isRunning({ endpoint, id }: RunningContainer): Promise<boolean> {
  const inspect = callEngine(endpoint, `/containers/${id}/json`);
  const found = await inspect.then(
    (body) => JSON.parse(body.toString()) as { State?: { Running?: boolean } },
    (error: unknown) => {
      if (isMissing(error)) return { State: { Running: false } };
      throw error;
    },
  );
  return found.State?.Running === true;
}
