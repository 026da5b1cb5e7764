// refusals.ts: the reasons why a rotation can't continue, as text. Pure.
import { TwineError } from "../../../runtime/core/errors.ts";
import type { RotationRefusal } from "../../../runtime/core/rotation.ts";

type Code = RotationRefusal | "ROTATION_NOT_HERE";

const TEXTS: Readonly<Record<Code, (hosts: string) => readonly [string, string]>> = {
  ROTATION_NO_PASSWORD: () => [
    "no rotation is under way, and there is no new password",
    "write it to a file and name that: twine-password --rotate --new-file FILE",
  ],
  ROTATION_SAME_PASSWORD: () => [
    "the new password is the present one",
    "write another one to the file that --new-file names",
  ],
  ROTATION_OTHER_PASSWORD: (hosts) => [
    `a rotation to another password is under way on ${hosts}`,
    "end that one first, with the password that it has: twine-password --finish, or twine-password --abort",
  ],
  ROTATION_ABORTING: (hosts) => [
    `the rotation is being taken back by ${hosts}`,
    "end that first: twine-password --abort on every host",
  ],
  ROTATION_FINISHING: (hosts) => [
    `the old password counts no more on ${hosts}, or is being removed there`,
    "end it: twine-password --finish on every host; then rotate back if you must",
  ],
  ROTATION_NOT_BEGUN: (hosts) => [
    `${hosts} rotate to a password that this machine does not have`,
    "write the new password to a file here too: twine-password --rotate --new-file FILE",
  ],
  ROTATION_NOT_HERE: () => [
    "no host of twine.conf is set up on this machine",
    "run it on the hosts of twine.conf, in the folder where twine-setup ran; containers: docs/pulumi.md",
  ],
};

export function refusal({ code, hosts }: { code: Code; hosts: readonly string[] }): TwineError {
  const [message, remedy] = TEXTS[code](hosts.join(", "));
  return new TwineError({ code, message, remedy });
}
