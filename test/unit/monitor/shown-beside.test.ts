// shown-beside.test.ts: what the view shows beside the roles and changes no state: settings that wait for a restart, and mail.
import { expect, test } from "vitest";
import { configOf } from "../../golden/render-cases.ts";
import { CONF, infoOf, servedScene } from "./situations.ts";

test("settings that differ are shown as they are found, and stay while a node was not asked again", () => {
  const scene = servedScene();
  const seen = scene.nodeObservations.get("a2") ?? { reach: "up", info: infoOf(), askedAtMs: 0 };
  const shown = (): string | undefined =>
    scene.view.nodes.find(({ name }) => name === "a2")?.otherSettings;
  scene.nodeObservations.set("a2", { ...seen, otherSettings: "maxmemory is 1, not 2" });
  scene.step();
  expect(shown()).toBe("maxmemory is 1, not 2");
  expect(scene.view.state).toBe("OK");
  const { revision } = scene.view;
  scene.nodeObservations.set("a2", seen);
  scene.step();
  expect([shown(), scene.view.revision]).toEqual(["maxmemory is 1, not 2", revision]);
  scene.nodeObservations.set("a2", { ...seen, otherSettings: "" });
  scene.step();
  expect(shown()).toBeUndefined();
});

test("a mail that failed is shown from its first failure on, until one is sent or mail is off", () => {
  const scene = servedScene();
  scene.config = configOf(`${CONF}alert-mail ops@example.com\n`);
  scene.step();
  scene.mail = { failed: "nobody listens" };
  scene.step();
  const { mailFailed, state, revision } = scene.view;
  expect([mailFailed?.why, state]).toEqual(["nobody listens", "OK"]);
  scene.step(5000);
  expect(scene.view.revision).toBe(revision);
  scene.mail = { failed: "it refuses" };
  scene.step(5000);
  expect(scene.view.mailFailed).toEqual({ why: "it refuses", since: mailFailed?.since });
  // A new alpha knows nothing of it yet.
  scene.mail = undefined;
  scene.step();
  expect(scene.view.mailFailed?.why).toBe("it refuses");
  scene.mail = "sent";
  scene.step();
  expect(scene.view.mailFailed).toBeUndefined();
});
