// durable.ts: how a status node is durable; the plan renders the same into its redis.conf.
export const DURABLE = ["appendonly yes", "appendfsync always"] as const;
