// sentinel-records.ts: the lists of names and values in which Sentinel describes a master, a replica or another Sentinel. Pure.
// What it says is not believed blindly: a field that is missing or makes no sense counts as not said.

export type SentinelRecord = ReadonlyMap<string, string>;

export function sentinelRecord(words: readonly string[]): SentinelRecord {
  const fields = new Map<string, string>();
  for (let at = 0; at + 1 < words.length; at += 2) fields.set(words[at] ?? "", words[at + 1] ?? "");
  return fields;
}

export interface RecordedAddress {
  readonly host: string;
  readonly port: number;
}

export function recordedAddress(host: string, port: string): RecordedAddress | undefined {
  const number = Number(port);
  const isPort = Number.isInteger(number) && number >= 1 && number <= 65_535;
  return host === "" || !isPort ? undefined : { host, port: number };
}

/** 0: not said. Sentinels give each failover an epoch of its own, so the highest one is the newest. */
export function recordedEpoch(record: SentinelRecord): number {
  const epoch = Number(record.get("config-epoch") ?? 0);
  return Number.isSafeInteger(epoch) && epoch >= 0 ? epoch : 0;
}
