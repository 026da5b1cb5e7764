// proven-reading.ts: a reading of the status nodes for a status page. If too few of them answered, it is repeated: the
// cause may be this process (short of CPU, or paused, so that every answer arrived too late). A page must not show HALT
// because this process was slow.
import { majorityOf } from "../core/cluster.ts";
import type { RegisterReading } from "../register/register.ts";

const READINGS_MAX = 3;

/** The first reading in which a majority of `statusCount` answered, else the last of READINGS_MAX. */
export async function provenReading(
  read: () => Promise<RegisterReading>,
  statusCount: number,
): Promise<RegisterReading> {
  let reading = await read();
  for (let count = 1; count < READINGS_MAX; count++) {
    if (reading.answered.length >= majorityOf(statusCount)) return reading;
    reading = await read();
  }
  return reading;
}
