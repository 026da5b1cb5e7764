// command-writer.test.ts: commands as bytes, compared with the encoder that everything else uses.
import fc from "fast-check";
import { expect, test } from "vitest";
import { CommandWriter } from "../../../runtime/resp/command-writer.ts";
import { encodeCommand } from "../../../runtime/resp/encode.ts";

test("what is written is the command, whatever its arguments, one after the other", () => {
  const writer = new CommandWriter();
  const argument = fc.oneof(
    fc.string({ unit: "binary", maxLength: 100 }),
    fc.string({ maxLength: 60 }),
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    fc.constant("é".repeat(5000)),
    fc.constant(Buffer.alloc(300_000, 7)),
  );
  fc.assert(
    fc.property(fc.constantFrom("get", "SET", "ключ"), fc.array(argument), (name, args) => {
      writer.write(name, args);
      expect(writer.copy().equals(encodeCommand([name, ...args]))).toBe(true);
    }),
    { numRuns: 300 },
  );
});
