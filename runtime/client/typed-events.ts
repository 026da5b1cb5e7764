// typed-events.ts: types of event listeners: Twine's events first, then ioredis's own. Also createClient().
import { Redis } from "ioredis";
import type { HostEvents } from "./engine-host.ts";

/** The arguments of each event. Events without arguments are ioredis's own: their listener may be the resolve(value) of a
    promise. */
interface Told extends HostEvents {
  message: [channel: string, message: string];
  messageBuffer: [channel: Buffer, message: Buffer];
  pmessage: [pattern: string, channel: string, message: string];
  pmessageBuffer: [pattern: string, channel: Buffer, message: Buffer];
}
type ListenerOf<E> = E extends keyof Told ? (...args: Told[E]) => void : Parameters<Redis["on"]>[1];

export class EventedRedis extends Redis {
  /** Makes an instance of the class on which it is called. ioredis's own would connect to a Redis on localhost. */
  static override createClient(...args: readonly unknown[]): Redis {
    return Reflect.construct(this, args) as Redis;
  }

  override on<E extends string | symbol>(event: E, listener: ListenerOf<E>): this {
    return super.on(event, listener as never);
  }

  override once<E extends string | symbol>(event: E, listener: ListenerOf<E>): this {
    return super.once(event, listener as never);
  }

  override off<E extends string | symbol>(event: E, listener: ListenerOf<E>): this {
    return super.off(event, listener as never);
  }

  override addListener<E extends string | symbol>(event: E, listener: ListenerOf<E>): this {
    return super.addListener(event, listener as never);
  }

  override removeListener<E extends string | symbol>(event: E, listener: ListenerOf<E>): this {
    return super.removeListener(event, listener as never);
  }

  override prependListener<E extends string | symbol>(event: E, listener: ListenerOf<E>): this {
    return super.prependListener(event, listener as never);
  }

  override prependOnceListener<E extends string | symbol>(event: E, listener: ListenerOf<E>): this {
    return super.prependOnceListener(event, listener as never);
  }
}
