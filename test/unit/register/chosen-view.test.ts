// What a tool says that can't go on without a view: too few status nodes answered, or those that did hold none.
import { expect, test } from "vitest";
import { parseConf } from "../../../runtime/core/conf/parse.ts";
import { TwineError } from "../../../runtime/core/errors.ts";
import { FailureError, failureOf } from "../../../runtime/core/failure.ts";
import { requireView } from "../../../runtime/register/chosen-view.ts";

const CONF = "a1=data 0 7001\ns1=status 6401\ns2=status 6402\ns3=status 6403\nm1=monitor 7600\n";

function refusalWith(...silent: readonly string[]): TwineError {
  const { config } = parseConf(CONF, "twine.conf");
  const failures = new Map(
    silent.map((name) => {
      const address = `127.0.0.1:640${name.slice(1)}`;
      const reason = `connect ECONNREFUSED ${address}`;
      return [name, failureOf(name, new FailureError("refused", reason, { address }))] as const;
    }),
  );
  try {
    requireView(null, failures, config ?? expect.fail("the conf is right"));
  } catch (error) {
    if (error instanceof TwineError) return error;
  }
  return expect.fail("there is no view to return");
}

test("too few status nodes answered: how many, why, with each address once, and what to start", () => {
  const { code, message } = refusalWith("s1", "s3");
  expect(code).toBe("STATUS_UNREACHABLE");
  expect(message).toBe(
    "only 1 of 3 status nodes of twine.conf answered; " +
      "s1: connect ECONNREFUSED 127.0.0.1:6401; s3: connect ECONNREFUSED 127.0.0.1:6403\n" +
      "  remedy: start them with twine-start on their hosts",
  );
});

test("a majority answered and holds none: the monitors are to be started", () => {
  expect(refusalWith().code).toBe("NO_VIEW");
  expect(refusalWith().remedy).toContain("start the monitors with twine-start");
  expect(refusalWith("s2")).toMatchObject({ code: "NO_VIEW" });
  expect(refusalWith("s2").message).toContain("(s2: connect ECONNREFUSED 127.0.0.1:6402)");
});
