import { expect, test } from "vitest";
import { memoryAcceptor } from "../../../runtime/register/memory-acceptor.ts";
import { createProposer } from "../../../runtime/register/proposer.ts";
import { newestChosen, readRegister } from "../../../runtime/register/read.ts";
import type { Acceptor, AcceptorState } from "../../../runtime/register/register.ts";
import { seededRandom } from "../../support/seeded-random.ts";
import { until } from "../../support/redis-server.ts";

function cluster() {
  const acceptors = ["s1", "s2", "s3"].map((name) => memoryAcceptor(name));
  const random = seededRandom(1);
  const proposer = createProposer({ name: "m1", cluster: "twine", acceptors, random });
  return { acceptors, proposer };
}

test("status nodes that a first start has not reached are not emptied", async () => {
  const { acceptors, proposer } = cluster();
  expect((await readRegister(acceptors)).emptied).toEqual([]);
  await proposer.prepare();
  expect((await readRegister(acceptors)).emptied).toEqual([]);
  await proposer.write({ body: "v", epoch: 1, revision: 1 });
  await until("all hold it", async () => (await readRegister(acceptors)).confirmations === 3);
  expect((await readRegister(acceptors)).emptied).toEqual([]);
});

test("an emptied status node is told until the alpha has let it in again", async () => {
  const { acceptors, proposer } = cluster();
  await proposer.prepare();
  await proposer.write({ body: "v", epoch: 1, revision: 1 });
  acceptors[1]?.empty();
  expect((await readRegister(acceptors)).emptied).toEqual(["s2"]);
  await until("s2 votes again", async () => {
    await proposer.beat();
    return (await readRegister(acceptors)).emptied.length === 0;
  });
});

test("a majority that was emptied stays so, whatever the monitors try", async () => {
  const { acceptors, proposer } = cluster();
  await proposer.prepare();
  await proposer.write({ body: "v", epoch: 1, revision: 1 });
  await proposer.beat();
  acceptors[1]?.empty();
  acceptors[2]?.empty();
  await proposer.beat();
  expect(await proposer.prepare()).toMatchObject({ kind: "no-majority" });
  const reading = await readRegister(acceptors);
  expect(reading).toMatchObject({ value: { body: "v" }, emptied: ["s2", "s3"] });
});

test("nodes that were asked while views followed each other are asked again", async () => {
  const { acceptors, proposer } = cluster();
  await proposer.prepare();
  let revision = 0;
  const write = () => proposer.write({ body: `v${++revision}`, epoch: 1, revision });
  const seen: AcceptorState[] = [];
  for (const acceptor of acceptors) {
    await write();
    await write();
    await until("all hold it", async () => (await readRegister(acceptors)).confirmations === 3);
    seen.push(await acceptor.read(false));
  }
  expect(newestChosen(seen, 3)).toBeNull();
  const late = acceptors.map((acceptor, index): Acceptor => {
    let first = seen[index];
    return {
      ...acceptor,
      read: (withBody) => {
        const answer = first === undefined ? acceptor.read(withBody) : Promise.resolve(first);
        first = undefined;
        return answer;
      },
    };
  });
  expect(await readRegister(late)).toMatchObject({ value: { body: `v${revision}` } });
});
