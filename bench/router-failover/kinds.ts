// kinds.ts: how a partition's master goes, and how what went comes back.
//
//              inflict                           mend, when everything is acknowledged again
//   kill       kill -9                           started again
//   stop       SIGSTOP                           SIGCONT: it may execute what still lay in its sockets
//   restart    kill -9, 0.3 s, started           -
//   handover   twine-failover of a replica       -
import type { BenchCluster } from "./cluster.ts";

export interface Kind {
  readonly name: "kill" | "stop" | "restart" | "handover";
  readonly what: string;
  inflict(cluster: BenchCluster, partition: number, master: string): Promise<void>;
  mend(cluster: BenchCluster, master: string): Promise<void>;
}

const RESTART_AFTER_MS = 300;

export const KINDS: readonly Kind[] = [
  {
    name: "kill",
    what: "kill -9 of the master",
    inflict: (cluster, _, master) => cluster.kill(master),
    mend: (cluster, master) => cluster.launch(master),
  },
  {
    name: "stop",
    what: "SIGSTOP of the master, SIGCONT after the failover, while the clients go on",
    inflict: (cluster, _, master) => cluster.signal(master, "SIGSTOP"),
    mend: (cluster, master) => cluster.signal(master, "SIGCONT"),
  },
  {
    name: "restart",
    what: "kill -9 of the master, started again 0.3 s later, empty",
    inflict: async (cluster, _, master) => {
      await cluster.kill(master);
      await new Promise((resolve) => setTimeout(resolve, RESTART_AFTER_MS));
      await cluster.launch(master);
    },
    mend: () => Promise.resolve(),
  },
  {
    name: "handover",
    what: "a planned handover, by twine-failover",
    inflict: (cluster, partition) => cluster.handOver(partition),
    mend: () => Promise.resolve(),
  },
];
