// memory-hashes.ts: the shared hashes in memory, for simulations: one object shared by all monitors of a cluster.
import type { Request } from "../../runtime/core/request.ts";
import type { SharedHashes } from "../../runtime/monitor/observe/shared-hashes.ts";

export interface MemoryHashes extends SharedHashes {
  readonly requests: Map<string, Request>;
  readonly offsets: Map<string, string>;
  /** What was published, in order. */
  readonly events: string[];
}

export function memoryHashes(): MemoryHashes {
  const observed = new Map<string, string>();
  const offsets = new Map<string, string>();
  const requests = new Map<string, Request>();
  const events: string[] = [];
  return {
    requests,
    offsets,
    events,
    writeObserved: (monitor, json) => {
      observed.set(monitor, json);
      return Promise.resolve();
    },
    readObserved: () => Promise.resolve(new Map(observed)),
    writeOffsets: (_epoch, record) => {
      for (const [name, json] of record) offsets.set(name, json);
      return Promise.resolve();
    },
    readOffsets: () => Promise.resolve(new Map(offsets)),
    readRequests: () => Promise.resolve([...requests.values()]),
    takeRequest: () => Promise.resolve(true),
    answerRequest: (request) => {
      requests.set(request.id, request);
      return Promise.resolve();
    },
    publishEvent: (json) => {
      events.push(json);
      return Promise.resolve();
    },
  };
}
