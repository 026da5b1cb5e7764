// failure-remedy.test.ts: each cause that is known by its words gets its own remedy; what is not known says where to look.
import { expect, test } from "vitest";
import {
  remedyFor,
  remedyForPart,
  type Failure,
  type Part,
} from "../../../infra/docker/failure-remedy.ts";

const PLACE = { node: "s1", container: "staging-s1", host: "db1", cluster: "twine-staging" };
const URNS = { container: "urn:container", volume: "urn:volume" };
const CONFLICT =
  'Unable to create container: Conflict. The container name "/staging-s1" is already in use by container "9f".';

function remedy(failure: Partial<Failure>): string {
  const nothing = { errors: [], said: "", owner: undefined, urns: URNS, isProtected: false };
  return remedyFor(PLACE, { ...nothing, ...failure });
}

test("a container that an interrupted up left behind is to be removed, its volume stays", () => {
  expect(remedy({ errors: [CONFLICT], owner: "twine-staging" })).toMatch(
    /^an interrupted `pulumi up` of this stack left it behind: docker rm -f staging-s1, on db1 \(its volume stays\)/,
  );
});

test("another stack's container of the same name is left alone", () => {
  expect(remedy({ errors: [CONFLICT], owner: "other-staging" })).toBe(
    "it is a container of cluster other-staging: give this stack another name",
  );
});

test("where the engine can't be asked, the remedy says how to see whose the container is", () => {
  expect(remedy({ errors: [CONFLICT] })).toMatch(/if its label twine\.cluster is twine-staging/);
});

test("another cluster's volume is taken out of the state, so that no destroy removes it", () => {
  const said = "twine: s1: the volume at /data belongs to 'cluster other', not to 'cluster here'";
  expect(remedy({ said })).toMatch(
    /pulumi destroy --target-dependents --target 'urn:container' \(.*\), then pulumi state delete 'urn:volume'/,
  );
  // With twine:protectData Pulumi refuses the second command otherwise.
  expect(remedy({ said, isProtected: true })).toMatch(/pulumi state delete --force 'urn:volume'/);
});

test.each([
  "twine: a1: the volume at /data holds /data/base and no stamp that says whose it is",
  "error: the volume at /data can't be read, so it may be somebody else's (EACCES)",
])("so is one that nobody stamped, or that can't be looked into: %s", (said) => {
  expect(remedy({ said })).toMatch(/pulumi state delete 'urn:volume'/);
});

test.each([
  "error: unknown option '--claim'\n  remedy: see --help",
  "error: /etc/twine/twine.conf:31:1: unknown directive 'backup-compress'",
])("a runtime of an older Twine is named by its key: %s", (said) => {
  expect(remedy({ said })).toMatch(/^twine:runtimeImage is of an older Twine .* or remove the key/);
});

test("a health check that took too long names what the host is short of", () => {
  const said = "health check: Health check exceeded timeout (30s)";
  expect(remedy({ said })).toMatch(/^db1 is short of CPU or disk/);
});

test.each([
  "bind: Address already in use",
  "listen EADDRINUSE: address already in use 127.0.0.1:7601",
])("a taken port names host and node: %s", (said) => {
  expect(remedy({ said })).toMatch(/^another program on db1 has a port of s1: .*; end it, or/);
});

test.each([
  "Bind for 127.0.0.1:20001 failed: port is already allocated",
  "failed to bind host port for 127.0.0.1:20001:172.18.0.2:6400/tcp: address already in use",
  "Error starting userland proxy: listen tcp4 127.0.0.1:20001: bind: address already in use",
])("a published port that is taken points at twine:publish: %s", (error) => {
  expect(remedy({ errors: [error] })).toMatch(/twine:publish, e\.g\. r1=16400/);
});

test("what is not known says where the container's own words stand", () => {
  expect(remedy({ errors: ["container failed to be in healthy state"] })).toMatch(
    /docker logs staging-s1, on db1$/,
  );
});

const REDIS_IMAGE: Part = {
  kind: "image",
  what: "twine:redisImage redis:0",
  setting: { key: "twine:redisImage", example: "pulumi config set twine:redisImage redis:7" },
  host: "db1",
};

test("an image that can't be had names its key, the host and an example", () => {
  expect(remedyForPart(REDIS_IMAGE, ["unable to pull image redis:0"])).toMatch(
    /^check the spelling of twine:redisImage and that db1 can pull it.*: pulumi config set twine:redisImage/,
  );
});

test("a runtime that can't be built names the image that it is built from", () => {
  expect(remedyForPart({ ...REDIS_IMAGE, kind: "build" }, [])).toMatch(/node:24-bookworm-slim/);
});

test("a network without addresses is told how to get some", () => {
  const network: Part = {
    kind: "network",
    what: "the pods' network",
    setting: undefined,
    host: "x",
  };
  const full = "all predefined address pools have been fully subnetted";
  expect(remedyForPart(network, [full])).toMatch(/docker network prune/);
  expect(remedyForPart(network, ["no space left on device"])).toMatch(
    /^correct what the message says on x/,
  );
});
