// wire-errors.test.ts: what a client sent comes back in an error as the bytes that came, as far as Redis shows them.
import { expect, test } from "vitest";
import { unknownCommand, unknownSubcommand } from "../../../runtime/route/replies/wire-errors.ts";

const bytes = (text: string): Buffer => Buffer.from(text, "latin1");

test("bytes of no text come back as they were", () => {
  expect(unknownCommand([bytes("FO\xff"), bytes("\xfe\xc3")]).toString("latin1")).toBe(
    "-ERR unknown command 'FO\xff', with args beginning with: '\xfe\xc3' \r\n",
  );
});

test("a NUL ends what is shown, and a line's end becomes a space", () => {
  expect(unknownCommand([bytes("F\0O\xff"), bytes("a\0b"), bytes("c\n")]).toString("latin1")).toBe(
    "-ERR unknown command 'F', with args beginning with: 'a' 'c ' \r\n",
  );
  expect(unknownSubcommand("client", bytes("\xffa\0b")).toString("latin1")).toBe(
    "-ERR unknown subcommand '\xffa'. Try CLIENT HELP.\r\n",
  );
});
