// writer-inside.ts: the checked writer as a program of its own, in the network of a test's host: the test itself is in none
// of them. Commands on standard input, an answer each on standard output: "look", "end".
import { createInterface } from "node:readline";
import { CheckedWriter, type WriterOptions } from "../../infra/env/chaos/checked-writer.ts";

const options = JSON.parse(process.argv[2] ?? "") as WriterOptions;
const writer = new CheckedWriter(options);
writer.start();
const tell = (answer: object): void => void process.stdout.write(`${JSON.stringify(answer)}\n`);
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "look") tell(writer.look());
  if (line !== "end") continue;
  await writer.stop();
  tell(await writer.check());
  break;
}
writer.close();
