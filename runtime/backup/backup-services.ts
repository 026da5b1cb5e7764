// backup-services.ts: what the alpha's monitor does for backups by itself: it takes them, rehearses them and records the
// archive, each as a process of its own. Another monitor's services wait until that one leads.
import { provide, type Service } from "../ports/services.ts";
import { startArchiveService, type ArchiveServiceOptions } from "./archive/archive-service.ts";
import { startRehearsals, type RehearsalState } from "./rehearse/rehearsal-schedule.ts";
import { startSchedule, type BackupState, type ScheduleOptions } from "./schedule.ts";

type BackupEvent = "+backup" | "-backup" | "+rehearsal" | "-rehearsal" | "+archive" | "-archive";

export interface BackupServicesPorts extends Pick<
  ScheduleOptions,
  "clock" | "config" | "view" | "openTargets"
> {
  /** Whether this monitor leads now. */
  readonly isAlpha: () => boolean;
  /** Program and arguments of twine-backup with the cluster of that file. */
  readonly tool: (file: string, ...more: string[]) => readonly [string, ...string[]];
  readonly emit: (event: BackupEvent, fields?: Readonly<Record<string, string>>) => void;
  /** What is known of backups and rehearsals, whenever some of it changes. */
  readonly noteBackup: (state: BackupState & { readonly rehearsal?: RehearsalState }) => void;
  readonly noteArchive: ArchiveServiceOptions["onState"];
}

export function backupServices(ports: BackupServicesPorts): Service[] {
  const { tool, emit } = ports;
  let backup: BackupState | undefined;
  let rehearsal: RehearsalState | undefined;
  let noBase = "";
  const note = (): void => {
    if (backup === undefined) return;
    ports.noteBackup({ ...backup, ...(rehearsal === undefined ? {} : { rehearsal }) });
  };
  const startBackups = () =>
    startSchedule({
      ...ports,
      command: (file) => tool(file),
      isBaseNeeded: () => noBase !== "",
      onState: (state) => {
        backup = state;
        note();
      },
      onTaken: (result) => {
        emit("+backup", { result });
        rehearsals.running.trigger();
      },
      onFailed: (why) => {
        emit("-backup", { why });
      },
    });
  const schedule = provide("backups", startBackups, (running) => running.stop());
  const startRehearsing = () =>
    startRehearsals({
      ...ports,
      command: (file) => tool(file, "--rehearse"),
      onState: (state) => {
        rehearsal = state;
        note();
      },
      onTaken: (result) => {
        emit("+rehearsal", { result });
      },
      onFailed: (why) => {
        emit("-rehearsal", { why });
      },
    });
  const rehearsals = provide("rehearsals", startRehearsing, (running) => running.stop());
  const onArchive: ArchiveServiceOptions["onState"] = (state) => {
    const isNews = noBase === "" && (state?.noBase ?? "") !== "";
    noBase = state?.noBase ?? "";
    if (isNews) schedule.running.trigger();
    ports.noteArchive(state);
  };
  return [
    rehearsals,
    schedule,
    provide(
      "archive",
      () => archiving(ports, onArchive),
      (running) => running.stop(),
    ),
  ];
}

function archiving(ports: BackupServicesPorts, onState: ArchiveServiceOptions["onState"]) {
  const { tool, emit } = ports;
  return startArchiveService({
    ...ports,
    onState,
    command: (file) => tool(file, "--archive", "--json"),
    onStarted: () => {
      emit("+archive");
    },
    onFailed: (why) => {
      emit("-archive", { why });
    },
  });
}
