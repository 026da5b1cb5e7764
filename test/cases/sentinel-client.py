"""A program that uses redis-py through Sentinel, led by lines on standard input; one JSON line answers each.

sentinel-client.py NAME PORT[,PORT...] [PROTOCOL] [PASSWORD]
"""

import json
import sys

from redis.exceptions import RedisError
from redis.sentinel import Sentinel

name, ports = sys.argv[1], [int(port) for port in sys.argv[2].split(",")]
extra = {"socket_timeout": 5}
if len(sys.argv) > 3 and sys.argv[3] != "default":
    extra["protocol"] = int(sys.argv[3])
password = {"password": sys.argv[4]} if len(sys.argv) > 4 else {}
sentinel = Sentinel(
    [("127.0.0.1", port) for port in ports],
    sentinel_kwargs={**extra, **password},
    **extra,
)
master = sentinel.master_for(name)
replica = sentinel.slave_for(name)


def run(words):
    match words:
        case ["master"]:
            return list(sentinel.discover_master(name))
        case ["replicas"]:
            return sorted(port for _, port in sentinel.discover_slaves(name))
        case ["set", key, value]:
            return master.set(key, value)
        case ["get", key]:
            return master.get(key).decode()
        case ["read", key]:
            value = replica.get(key)
            return None if value is None else value.decode()
        case ["state"]:
            state = sentinel.sentinels[0].sentinel_master(name)
            return {key: state[key] for key in ("is_master", "is_odown", "num-slaves")}
        case ["sentinels"]:
            others = sentinel.sentinels[0].sentinel_sentinels(name)
            return sorted(int(other["port"]) for other in others)


for line in sys.stdin:
    try:
        answer = {"ok": run(line.split())}
    except RedisError as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
