// node-version.ts: reports in one sentence that Node is too old, before another error prints a stack trace. tool.ts imports
// it first, for its effect.

const NEEDED = [22, 18] as const;
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);

if (major < NEEDED[0] || (major === NEEDED[0] && minor < NEEDED[1])) {
  process.stderr.write(
    `error: Twine needs Node >= ${NEEDED.join(".")}, and this is ${process.versions.node}\n` +
      "  remedy: install a newer Node, or in a checkout use `npx`, which starts the Node it brings\n",
  );
  process.exit(1);
}
