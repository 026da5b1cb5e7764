// network-volume-kinds.ts: Network and Volume. Every argument of both replaces; neither is ever updated in place.
import type Docker from "dockerode";
import { isGone, statusOf } from "./engine.ts";
import type { ResourceKind } from "./resource-kind.ts";
import { bags, flag, labelMap, text, textMap } from "./values.ts";

const unchanged: ResourceKind["update"] = (_docker, _id, olds, news) =>
  Promise.resolve({ ...olds, ...news });

/** How long a volume may still be in use by a container that is just going. */
const VOLUME_BUSY_TRIES = 30;
const VOLUME_BUSY_PAUSE_MS = 500;

export const NETWORK: ResourceKind = {
  type: "docker:index/network:Network",
  isBridged: true,
  computed: ["scope"],
  replacing: new Set([
    ...["name", "labels", "driver", "options", "internal", "attachable", "ingress", "ipv6"],
    ...["ipamDriver", "ipamOptions", "ipamConfigs"],
  ]),
  unordered: new Set(["labels", "ipamConfigs"]),
  defaults: {
    driver: "bridge",
    internal: false,
    attachable: false,
    ingress: false,
    ipv6: false,
    ipamDriver: "default",
  },
  deletesFirst: false,
  autonames: true,
  async create(docker, inputs) {
    const ipam = bags(inputs["ipamConfigs"]).map((one) => ({
      ...(text(one["subnet"]) && { Subnet: text(one["subnet"]) }),
      ...(text(one["gateway"]) && { Gateway: text(one["gateway"]) }),
      ...(text(one["ipRange"]) && { IPRange: text(one["ipRange"]) }),
    })) as Docker.IPAM["Config"];
    const network = await docker.createNetwork({
      Name: text(inputs["name"]) ?? "",
      // Docker lets two networks share a name unless it is asked to look.
      CheckDuplicate: true,
      Driver: text(inputs["driver"]) ?? "bridge",
      Internal: flag(inputs["internal"]),
      Attachable: flag(inputs["attachable"]),
      Ingress: flag(inputs["ingress"]),
      EnableIPv6: flag(inputs["ipv6"]),
      Labels: labelMap(inputs["labels"]) ?? {},
      Options: textMap(inputs["options"]) ?? {},
      IPAM: {
        Driver: text(inputs["ipamDriver"]) ?? "default",
        Options: textMap(inputs["ipamOptions"]) ?? {},
        ...(ipam !== undefined && ipam.length > 0 && { Config: ipam }),
      },
    });
    return { id: network.id, state: { ...inputs, scope: "local" } };
  },
  async read(docker, id, state) {
    try {
      const found = await docker.getNetwork(id).inspect();
      return { id, state: { ...state, name: found.Name, scope: found.Scope } };
    } catch (error) {
      if (isGone(error)) return undefined;
      throw error;
    }
  },
  update: unchanged,
  async delete(docker, id) {
    try {
      await docker.getNetwork(id).remove();
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  },
};

export const VOLUME: ResourceKind = {
  type: "docker:index/volume:Volume",
  isBridged: true,
  computed: ["mountpoint"],
  replacing: new Set(["name", "labels", "driver", "driverOpts", "cluster"]),
  unordered: new Set(["labels"]),
  defaults: { driver: "local" },
  deletesFirst: false,
  autonames: true,
  async create(docker, inputs) {
    const name = text(inputs["name"]) ?? "";
    // Docker adopts an existing volume of this name silently, and so does the real provider.
    await docker.createVolume({
      Name: name,
      Driver: text(inputs["driver"]) ?? "local",
      DriverOpts: textMap(inputs["driverOpts"]) ?? {},
      Labels: labelMap(inputs["labels"]) ?? {},
    });
    const found = await docker.getVolume(name).inspect();
    return { id: name, state: { ...inputs, mountpoint: found.Mountpoint } };
  },
  async read(docker, id, state) {
    try {
      const found = await docker.getVolume(id).inspect();
      return { id, state: { ...state, name: found.Name, mountpoint: found.Mountpoint } };
    } catch (error) {
      if (isGone(error)) return undefined;
      throw error;
    }
  },
  update: unchanged,
  async delete(docker, id) {
    for (let tryCount = 1; ; tryCount += 1) {
      try {
        await docker.getVolume(id).remove();
        return;
      } catch (error) {
        if (isGone(error)) return;
        if (statusOf(error) !== 409 || tryCount === VOLUME_BUSY_TRIES) throw error;
        await new Promise((resolve) => setTimeout(resolve, VOLUME_BUSY_PAUSE_MS));
      }
    }
  },
};
