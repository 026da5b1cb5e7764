"""What a program does with redis-py, as it is after `pip install redis`, at one address: results as one JSON object.

router-client.py PORT [PROTOCOL]
Run on a router and on one redis-server, it must print the same.
"""

import json
import sys

import redis

port = int(sys.argv[1])
extra = {"protocol": int(sys.argv[2])} if len(sys.argv) > 2 else {}
client = redis.Redis(port=port, decode_responses=True, client_name="test", **extra)
results = {}


def note(name, value):
    results[name] = value


note("ping", client.ping())
client.flushall()
note("set", client.set("a", "1", ex=1000))
note("get", [client.get("a"), client.get("none")])
note("mset", client.mset({"b": "2", "c": "3", "d": "4"}))
note("mget", client.mget("d", "none", "a", "b", "c"))
note("exists", client.exists("a", "b", "none"))
note("incr", [client.incr("n"), client.incrby("n", 5), client.incrbyfloat("n", 0.5)])
client.hset("h", mapping={"x": "1", "y": "2"})
note("hash", [client.hgetall("h"), client.hmget("h", "x", "none")])
client.rpush("l", 1, 2, 3)
note("list", [client.lrange("l", 0, -1), client.lpop("l", 2)])
client.sadd("s", 1, 2, 3)
note("set members", sorted(client.smembers("s")))
client.zadd("z", {"a": 1, "b": 2.5})
note("sorted set", [client.zrange("z", 0, -1, withscores=True), client.zscore("z", "b")])
note("stream id", client.xadd("st", {"f": "v"}, id="1-1"))
note("stream", client.xread({"st": 0}))
note("dbsize", client.dbsize())
note("keys", sorted(client.keys("*")))
client.mset({f"k{number}": number for number in range(500)})
note("scan", sorted(client.scan_iter("k*", count=50)))
client.hset("big", mapping={f"f{number}": number for number in range(700)})
note("hscan", sorted(client.hscan_iter("big", count=50)))
pipeline = client.pipeline(transaction=False)
for number in range(300):
    pipeline.incr(f"k{number}")
pipeline.get("nonsense").lpush("a", 1)
found = pipeline.execute(raise_on_error=False)
note("pipeline", [str(one) for one in found])
twice = client.register_script("return redis.call('GET', KEYS[1]) * ARGV[1]")
note("script", [twice(keys=[f"k{number}"], args=[2]) for number in range(20)])
client.function_load(
    "#!lua name=lib\nredis.register_function('put', function(k, a) "
    "return redis.call('SET', k[1], a[1]) end)",
    replace=True,
)
note("function", [str(client.fcall("put", 1, "fn", "x")), client.get("fn")])
client.function_flush()
with client.lock("lock", timeout=10) as lock:
    note("lock", [lock.owned(), client.exists("lock")])
note("lock freed", client.exists("lock"))
transaction = client.pipeline()
transaction.set("{t}a", 1).incr("{t}a").get("{t}a")
note("transaction", transaction.execute())


def double(pipe):
    value = int(pipe.get("{t}a"))
    pipe.multi()
    pipe.set("{t}a", value * 2)


note("optimistic", [client.transaction(double, "{t}a"), client.get("{t}a")])
note("rename", [client.rename("{t}a", "{t}b"), client.copy("{t}b", "{t}c")])
note("sort", client.sort("s", desc=True))
note("object", client.object("encoding", "s"))
note("name", client.client_getname())
note("client", client.client_info()["name"])
note("clients", any(one["name"] == "test" for one in client.client_list()))
note("info", [client.info("replication")["role"], client.info()["db0"]["keys"]])
note("config", client.config_get("maxmemory"))
note("who", client.acl_whoami())
note("commands", len(client.command()) > 200)
note("slowlog", len(client.slowlog_get()))
note("role", client.role()[0])
note("delete", [client.delete("a", "b", "none"), client.unlink("c", "d")])
for name, words in {"unknown": ["NOSUCH"], "arity": ["GET"], "type": ["LPOP", "h"]}.items():
    try:
        client.execute_command(*words)
    except redis.RedisError as error:
        note(name, f"{type(error).__name__}: {error}")
note("flush", [client.flushdb(), client.dbsize()])
json.dump(results, sys.stdout)
