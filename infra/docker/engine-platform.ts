// engine-platform.ts: asks a Docker engine for its own platform, e.g. linux/amd64.
import * as pulumi from "@pulumi/pulumi";
import { askEngine } from "./engine-call.ts";
import type { EndpointArgs } from "./endpoints.ts";

/**
 * Undefined when the engine does not answer, or its answer can't be parsed: then nothing is built there anyway, and
 * engine-guard.ts or the provider reports the reason.
 */
export function enginePlatform(endpoint: EndpointArgs): pulumi.Output<string | undefined> {
  const asking = askEngine(endpoint, "/version").then(platformIn, () => undefined);
  return pulumi.output(asking);
}

/** From the reply to GET /version: its Os and Arch have the same names as in an image's platform. */
export function platformIn(version: unknown): string | undefined {
  if (typeof version !== "object" || version === null) return undefined;
  const { Os: os, Arch: architecture } = version as { Os?: unknown; Arch?: unknown };
  const isName = (text: unknown): text is string =>
    typeof text === "string" && /^[a-z0-9_]{1,20}$/.test(text);
  return isName(os) && isName(architecture) ? `${os}/${architecture}` : undefined;
}
