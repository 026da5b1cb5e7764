// client-events.ts: what TwineClient and RedCluster tell those who listen, by the names of the events. Pure.
import type { View } from "../core/view.ts";

export interface ClientEvents {
  /** Commands are sent from now on; before, they are held. */
  ready: [];
  /** TwineClient: a new view of the cluster. */
  view: [view: View];
  /** A partition has another master. Node names. */
  failover: [change: { partition: number; from: string; to: string }];
  /** Requests of a partition wait because it can't be served; told once for each outage. */
  held: [wait: { partition: number; why: string }];
  /** A message of a channel that was subscribed. As ioredis has them: text, or as it came. */
  message: [channel: string, message: string];
  messageBuffer: [channel: Buffer, message: Buffer];
  /** A message of a channel that matches a pattern which was psubscribed. */
  pmessage: [pattern: string, channel: string, message: string];
  pmessageBuffer: [pattern: string, channel: Buffer, message: Buffer];
  /** A message of a channel that was ssubscribed. */
  smessage: [channel: string, message: string];
  smessageBuffer: [channel: Buffer, message: Buffer];
  /** Something failed outside of any command. Without a listener it is silent. */
  error: [error: Error];
  /** Everything is closed. */
  close: [];
}
