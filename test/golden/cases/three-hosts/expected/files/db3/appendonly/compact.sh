#!/bin/sh
# Compacts the append only files of cluster orders's data nodes on this host, one node after the other, while
# they go on serving. Written by twine-setup; meant for cron, from any folder:
#   17 3 * * * /path/to/appendonly/compact.sh
# Each node's port, address and secret are read from its own redis.conf. Exit 1: a node could not be asked.

cd "$(dirname "$0")/.." || exit 1
for program in redis-cli valkey-cli; do
  cli=$(command -v "$program") && break
done
if [ -z "$cli" ]; then
  echo "compact.sh: neither redis-cli nor valkey-cli is on PATH ($PATH)" >&2
  exit 1
fi

setting() { # file, directive: its last value
  sed -n "s/^$2 \([^ ]*\).*/\1/p" "$1" | tail -n 1
}

ask() { # command...
  if [ -n "$secret" ]; then
    REDISCLI_AUTH=$secret "$cli" --no-auth-warning --user replica -h "$address" -p "$port" "$@" 2>&1
  else
    "$cli" -h "$address" -p "$port" "$@" 2>&1
  fi
}

failures=0
for node in b2; do
  conf=$node/redis.conf
  address=$(setting "$conf" bind)
  port=$(setting "$conf" port)
  secret=$(setting "$conf" masterauth)
  answer=$(ask BGREWRITEAOF)
  case $answer in
    Background*)
      echo "$node: compacting"
      # One at a time: each compaction may need as much memory again as the node changes meanwhile.
      while ask INFO persistence | grep -q 'aof_rewrite_\(in_progress\|scheduled\):1'; do
        sleep 1
      done
      ;;
    *MASTERDOWN*) echo "$node: dead, left alone" ;;
    *)
      echo "$node: $answer" >&2
      failures=1
      ;;
  esac
done
exit "$failures"
