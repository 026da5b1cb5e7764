// known-hosts.test.ts: by which names the HTTP ports may be asked.
import { expect, test } from "vitest";
import { isKnownHost } from "../../../runtime/core/known-hosts.ts";
import { configOf } from "../../golden/render-cases.ts";

const config = configOf("a1=data 0 db1 6666 0\nm1=monitor db1 7600\nhttp-hosts Status.example\n");

test("localhost, addresses, hosts of twine.conf and http-hosts are known, with any port", () => {
  const known = [
    ...["localhost:7600", "LOCALHOST", "x.localhost", "127.0.0.1:7600", "10.1.2.3", "[::1]:7600"],
    ...["db1", "db1:7600", "DB1.", "status.example:80"],
  ];
  expect(known.filter((header) => !isKnownHost(header, config))).toEqual([]);
  expect(isKnownHost(undefined, config)).toBe(true);
});

test("a name that somebody else could have lead here is not", () => {
  const strange = ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "db2:7600"];
  expect(strange.filter((header) => isKnownHost(header, config))).toEqual([]);
});
