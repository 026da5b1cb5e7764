// events.ts: the messages to Sentinel's subscribers when one picture follows another. Pure.
// Channels and messages are Sentinel's (https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/,
// "Sentinel Pub/Sub messages"): an instance is `<type> <name> <ip> <port>`, followed by
// ` @ <master name> <master ip> <master port>` unless it is a master itself. Clients need +switch-master above all:
// `<master name> <old ip> <old port> <new ip> <new port>`.
import type { Picture, PicturedMaster, PicturedReplica, PicturedSentinel } from "./picture.ts";

export interface SentinelMessage {
  readonly channel: string;
  readonly message: string;
}

/** The messages in the order to send them. Before the first view there are none. */
export function messagesBetween(before: Picture, after: Picture): SentinelMessage[] {
  if (!before.isKnown) return [];
  const list: SentinelMessage[] = [];
  const isTilted = (picture: Picture): boolean => picture.isKnown && !picture.isConfirmed;
  if (isTilted(before) && !isTilted(after)) list.push(say("-tilt", "#tilt mode exited"));
  if (!isTilted(before) && isTilted(after)) list.push(say("+tilt", "#tilt mode entered"));
  if (after.epoch > before.epoch) list.push(say("+new-epoch", String(after.epoch)));
  for (const master of after.masters) {
    const old = before.masters.find(({ name }) => name === master.name);
    list.push(...masterMessages(old, master, after));
    list.push(...sentinelMessages(before, after, master));
  }
  for (const old of before.masters) {
    if (after.masters.some(({ name }) => name === old.name)) continue;
    list.push(say("-monitor", masterText(old)));
  }
  return list;
}

function masterMessages(
  old: PicturedMaster | undefined,
  master: PicturedMaster,
  picture: Picture,
): SentinelMessage[] {
  if (old === undefined) {
    return [say("+monitor", `${masterText(master)} quorum ${picture.quorum}`)];
  }
  const list: SentinelMessage[] = [];
  const chosen = master.replicas.find(({ node }) => node === master.promoting);
  if (chosen !== undefined && old.promoting !== master.promoting) {
    list.push(say("+selected-slave", replicaText(chosen, old)));
  }
  const isMoved = old.host !== master.host || old.port !== master.port;
  if (isMoved && !master.isSubjectivelyDown) return [...list, ...switchMessages(old, master)];
  list.push(...downMessages(old, master, picture));
  if (isRebooted(old, master)) list.push(say("+reboot", masterText(master)));
  for (const replica of master.replicas) {
    const known = isMoved ? undefined : old.replicas.find(({ node }) => node === replica.node);
    list.push(...replicaMessages(known, replica, master));
  }
  return list;
}

/** After a switch the replicas are announced again, because they follow another master now. */
function switchMessages(old: PicturedMaster, master: PicturedMaster): SentinelMessage[] {
  const { name, host, port } = master;
  const promoted = old.replicas.find(({ node }) => node === master.node);
  return [
    ...(promoted === undefined ? [] : [say("+promoted-slave", replicaText(promoted, old))]),
    ...(promoted === undefined ? [] : [say("+failover-end", masterText(old))]),
    say("+switch-master", `${name} ${old.host} ${old.port} ${host} ${port}`),
    ...master.replicas.flatMap((replica) => replicaMessages(undefined, replica, master)),
  ];
}

function downMessages(
  old: PicturedMaster,
  master: PicturedMaster,
  { quorum, usableMonitors }: Picture,
): SentinelMessage[] {
  const list: SentinelMessage[] = [];
  const text = masterText(master);
  if (master.isSubjectivelyDown && !old.isSubjectivelyDown) list.push(say("+sdown", text));
  if (master.isObjectivelyDown && !old.isObjectivelyDown) {
    list.push(say("+odown", `${text} #quorum ${usableMonitors}/${quorum}`));
  }
  if (!master.isSubjectivelyDown && old.isSubjectivelyDown) list.push(say("-sdown", text));
  if (!master.isObjectivelyDown && old.isObjectivelyDown) list.push(say("-odown", text));
  return list;
}

function replicaMessages(
  old: PicturedReplica | undefined,
  replica: PicturedReplica,
  master: PicturedMaster,
): SentinelMessage[] {
  const list: SentinelMessage[] = [];
  const text = replicaText(replica, master);
  if (old === undefined) list.push(say("+slave", text));
  if (replica.isDown && old?.isDown !== true) list.push(say("+sdown", text));
  if (old === undefined) return list;
  if (!replica.isDown && old.isDown) list.push(say("-sdown", text));
  if (isRebooted(old, replica)) list.push(say("+reboot", text));
  if (replica.isInSync && !old.isInSync) list.push(say("+slave-reconf-done", text));
  return list;
}

function sentinelMessages(
  before: Picture,
  after: Picture,
  master: PicturedMaster,
): SentinelMessage[] {
  return after.sentinels.flatMap((sentinel) => {
    const text = sentinelText(sentinel, master);
    const old = before.sentinels.find(({ id }) => id === sentinel.id);
    if (old === undefined) return [say("+sentinel", text)];
    if (old.isDown === sentinel.isDown) return [];
    return [say(sentinel.isDown ? "+sdown" : "-sdown", text)];
  });
}

/** Whether another process runs at the same address. */
function isRebooted(old: { readonly runId: string }, now: { readonly runId: string }): boolean {
  return old.runId !== "" && now.runId !== "" && old.runId !== now.runId;
}

function say(channel: string, message: string): SentinelMessage {
  return { channel, message };
}

function masterText({ name, host, port }: PicturedMaster): string {
  return `master ${name} ${host} ${port}`;
}

function of(master: PicturedMaster): string {
  return `@ ${master.name} ${master.host} ${master.port}`;
}

function replicaText({ host, port }: PicturedReplica, master: PicturedMaster): string {
  return `slave ${host}:${port} ${host} ${port} ${of(master)}`;
}

function sentinelText({ id, host, port }: PicturedSentinel, master: PicturedMaster): string {
  return `sentinel ${id} ${host} ${port} ${of(master)}`;
}
