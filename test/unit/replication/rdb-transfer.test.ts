import { describe, expect, test } from "vitest";
import { NodeError } from "../../../runtime/replication/node-error.ts";
import { RdbTransfer } from "../../../runtime/replication/rdb-transfer.ts";

const HISTORY = "0123456789abcdef0123456789abcdef01234567";
const MARK = "mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm";
// With what may be the beginning of the mark, and is not.
const RDB = Buffer.from("REDIS0010\0\u00ff\n\r$mmm\0mmmmm\n", "latin1");
const COUNTED = Buffer.concat([
  Buffer.from(`+FULLRESYNC ${HISTORY} 42\r\n\n\n$${RDB.length}\r\n`),
  RDB,
  Buffer.from("*1\r\n$4\r\nPING\r\n"),
]);
const MARKED = Buffer.concat([
  Buffer.from(`+FULLRESYNC ${HISTORY} 42\r\n\n$EOF:${MARK}\r\n`),
  RDB,
  Buffer.from(MARK),
]);

function receive(bytes: Buffer, size: number): { rdb: Buffer; transfer: RdbTransfer } {
  const transfer = new RdbTransfer();
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) {
    parts.push(...transfer.push(bytes.subarray(at, at + size)));
  }
  return { rdb: Buffer.concat(parts), transfer };
}

describe.each([
  ["of known length", COUNTED],
  ["ended by a mark", MARKED],
])("an RDB %s", (_what, bytes) => {
  test("is the same in chunks of any size", () => {
    for (let size = 1; size <= bytes.length; size++) {
      const { rdb, transfer } = receive(bytes, size);
      expect(rdb).toEqual(RDB);
      expect(transfer.state).toBe("ended");
      expect(transfer).toMatchObject({ replicationId: HISTORY, offset: 42 });
    }
  });

  test("that breaks off is not ended", () => {
    const end = bytes.indexOf(RDB) + RDB.length - 1;
    expect(receive(bytes.subarray(0, end), 7).transfer.state).not.toBe("ended");
  });
});

test.each([
  ["-MASTERDOWN Link with MASTER is down\r\n", "master-down", /the master answers -MASTERDOWN/],
  ["-NOMASTERLINK Can't SYNC\r\n", "no-master-link", /-NOMASTERLINK/],
  ["+CONTINUE\r\n", "protocol", /the master answers \+CONTINUE/],
  [`+FULLRESYNC ${HISTORY} 1\r\n-ERR no\r\n`, "refused", /-ERR no instead of an RDB/],
  ["x".repeat(300), "protocol", /no RDB transfer/],
])("an answer %j is refused with its kind", (text, kind, why) => {
  let caught: unknown;
  try {
    new RdbTransfer().push(Buffer.from(text));
  } catch (error) {
    caught = error;
  }
  expect(caught).toBeInstanceOf(NodeError);
  expect(caught).toMatchObject({ kind, message: expect.stringMatching(why) as string });
});
