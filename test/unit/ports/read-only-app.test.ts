// read-only-app.test.ts: what an HTTP port that only shows says to whoever asks for something else.
import { expect, test } from "vitest";
import { readOnlyApp } from "../../../runtime/ports/read-only-app.ts";

const app = readOnlyApp(["/here", "/broken"]);
app.get("/here", (context) => context.text("shown\n"));
app.get("/broken", () => {
  throw new Error("the disk is full");
});

test("a page is shown to GET and HEAD, and kept by nobody", async () => {
  for (const method of ["GET", "HEAD"]) {
    const answer = await app.request("/here", { method });
    expect(answer.status).toBe(200);
    expect(await answer.text()).toBe(method === "GET" ? "shown\n" : "");
    expect(answer.headers.get("cache-control")).toBe("no-store");
    expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
  }
});

test("any other method is refused with those that are not, whether the path is there or not", async () => {
  for (const path of ["/here", "/nowhere"]) {
    const answer = await app.request(path, { method: "POST" });
    expect([answer.status, answer.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
    expect(answer.headers.get("cache-control")).toBe("no-store");
  }
});

test("another path is answered with those that there are, and what breaks with its reason", async () => {
  const missing = await app.request("/nowhere");
  expect(missing.status).toBe(404);
  expect(await missing.text()).toBe("there is no /nowhere; there are /here, /broken\n");
  const broken = await app.request("/broken");
  expect(broken.status).toBe(500);
  expect(await broken.json()).toEqual({ ok: false, why: "the disk is full" });
});

test("a request by a name that is not known is refused with the remedy, whatever it asks", async () => {
  const strict = readOnlyApp(["/here"], { isKnownHost: (host) => host === "known" });
  strict.get("/here", (context) => context.text("shown\n"));
  const ask = (host: string) => strict.request("/here", { headers: { host } });
  expect((await ask("known")).status).toBe(200);
  const refused = await ask("evil.example");
  expect(refused.status).toBe(421);
  expect(await refused.text()).toMatch(/evil\.example .*http-hosts NAME/);
});
