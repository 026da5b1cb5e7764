// notes-file.ts: the rotation notes of a cluster without status nodes (failover sentinel), beside each host's folder. So all
// hosts have to be on this machine.
import { join } from "node:path";
import { newestRotationNotes } from "../../../runtime/core/rotation-notes.ts";
import type { RotationNote } from "../../../runtime/core/rotation.ts";
import { readIfThere, writeWhole } from "../files/files.ts";
import { hostFolder } from "../files/layout.ts";

export interface NotesFile {
  /** By host. A malformed note counts as none. */
  read(): Promise<ReadonlyMap<string, RotationNote>>;
  write(host: string, note: RotationNote): Promise<void>;
  close(): void;
}

export function openNotesFile(folder: string, hosts: readonly string[]): NotesFile {
  const fileOf = (host: string): string => join(hostFolder(folder, host), ".rotation");
  return {
    read: async () => {
      const texts = await Promise.all(
        hosts.map(async (host) => [host, (await readIfThere(fileOf(host))) ?? ""] as const),
      );
      const known = newestRotationNotes([texts.filter(([, text]) => text !== "")]);
      return new Map([...known].map(([host, { note }]) => [host, note] as const));
    },
    write: (host, note) => writeWhole(fileOf(host), `1 ${JSON.stringify(note)}`, 0o644),
    close: () => undefined,
  };
}
