// cli-arguments.test.ts: which part of twine's command line is its own.
import { expect, test } from "vitest";
import { parseTwineArguments } from "../../runtime/cli/redis-cli-arguments.ts";
import { TwineError } from "../../runtime/core/errors.ts";

function codeOf(...args: string[]): string {
  try {
    parseTwineArguments(args);
    return "none";
  } catch (error) {
    return error instanceof TwineError ? `${error.code} ${error.exitCode}` : String(error);
  }
}

test("what follows twine's own options is redis-cli's, untouched", () => {
  const parsed = parseTwineArguments(["--conf", "a.conf", "-r", "3", "set", "-h", "--conf"]);
  expect(parsed).toMatchObject({
    kind: "run",
    conf: "a.conf",
    rest: ["-r", "3", "set", "-h", "--conf"],
  });
  expect(parseTwineArguments(["--conf=b"])).toMatchObject({ conf: "b", rest: [] });
});

test("options that lead to another server are refused wherever they stand before the command", () => {
  for (const option of ["-h", "-p", "-s", "-u", "-c", "--cluster", "--rdb", "--tls", "--replica"]) {
    expect(codeOf(option, "x")).toBe("CLI_OPTION_REFUSED 2");
    expect(codeOf("--json", "-r", "3", option, "x")).toBe("CLI_OPTION_REFUSED 2");
    expect(codeOf("set", option, "x")).toBe("none");
    // It is the value of another option here.
    expect(codeOf("-d", option, "get", "a")).toBe("none");
  }
});

test("--conf after redis-cli's options, or without a file, is wrong usage", () => {
  expect(codeOf("--json", "--conf", "a", "get", "b")).toBe("CLI_USAGE 2");
  expect(codeOf("--conf")).toBe("CLI_USAGE 2");
});

test("help and version are asked for first", () => {
  expect(parseTwineArguments(["--help"]).kind).toBe("help");
  expect(parseTwineArguments(["-h"]).kind).toBe("help");
  expect(parseTwineArguments(["--version"]).kind).toBe("version");
  expect(parseTwineArguments(["get", "--help"]).kind).toBe("run");
});

test("the password of -a is for the nodes: redis-cli's socket asks for none", () => {
  expect(parseTwineArguments(["-n", "0", "-a", "pw", "--json", "get", "a"])).toMatchObject({
    password: "pw",
    rest: ["-n", "0", "--json", "get", "a"],
  });
  expect(parseTwineArguments(["get", "-a", "b"])).toMatchObject({
    password: undefined,
    rest: ["get", "-a", "b"],
  });
  expect(codeOf("-a", "pw", "-h", "x")).toBe("CLI_OPTION_REFUSED 2");
});

test("there is one user: another one, and a password that redis-cli would ask for, are refused", () => {
  expect(codeOf("--user", "shop", "get", "a")).toBe("CLI_OPTION_REFUSED 2");
  expect(codeOf("--askpass", "get", "a")).toBe("CLI_OPTION_REFUSED 2");
});
