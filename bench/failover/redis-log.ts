// redis-log.ts: a redis-server's or sentinel's own log as a time line. Pure.
//
//   1234:X 21 Nov 2026 05:22:16.123 # +sdown master mymaster 127.0.0.1 7000

const LINE = /^\d+:[XMSC] (\d\d \w{3} \d{4} \d\d:\d\d:\d\d\.\d{3}) [.\-*#] (.*)$/;

/** Lines from `since` on, each as "+MS text". The log's times are local ones. */
export function redisLogSince(text: string, since: Date): string[] {
  return text.split("\n").flatMap((line) => {
    const [, at, what] = LINE.exec(line) ?? [];
    if (at === undefined || what === undefined) return [];
    const afterMs = new Date(at).getTime() - since.getTime();
    return afterMs < 0 ? [] : [`+${afterMs} ${what}`];
  });
}
