// secret-setting.ts: a setting that is secret, checked.
import * as pulumi from "@pulumi/pulumi";
import { refusal } from "./refuse.ts";
import { EXAMPLES } from "./settings.ts";

/** One that is an Output is checked as soon as it is known. */
export function secretOf(
  key: "password" | "oldPassword" | "smtpPassword",
  value: pulumi.Input<string> | undefined,
  faultOf: (text: string) => string | undefined,
): pulumi.Output<string> | undefined {
  if (value === undefined) return undefined;
  return pulumi.secret(value).apply((text) => {
    const why = faultOf(text);
    if (why === undefined) return text;
    const remedy = `for example: ${EXAMPLES[key]}`;
    throw refusal([{ code: "DOCKER_SETTING", message: `twine:${key} ${why}`, remedy }]);
  });
}
