// times.ts: times for people. Pure.

/** 2026-03-01T10:00:07.123Z -> 2026-03-01 10:00:07 UTC; any other text is returned unchanged. */
export function forPeople(time: string): string {
  return time.replace(/^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z$/, "$1 $2 UTC");
}
