// shared-scripts.ts: Lua scripts for the shared hashes; monitors run them on the status nodes.
// They apply the size limits on the node itself: an entry of half a gigabyte must not be sent before it is rejected.

/** KEYS 1 the hash. ARGV 1 the longest entry, 2 the most entries, 3 the longest field, 4 a text or ''. If there are more
    entries than allowed, those without that text are removed first (of requests: the answered ones). Returns two flat
    lists: field and entry of the valid ones, field and reason of the removed ones. */
export const READ_SCRIPT = `
local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'none' then return {{}, {}} end
if kind ~= 'hash' then
  redis.call('DEL', KEYS[1])
  return {{}, {'', 'the key was a ' .. kind .. ' instead of a hash'}}
end
local most = tonumber(ARGV[2])
if redis.call('HLEN', KEYS[1]) > most and ARGV[4] ~= '' then
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    if #field > tonumber(ARGV[3]) or redis.call('HSTRLEN', KEYS[1], field) > tonumber(ARGV[1])
      or not string.find(redis.call('HGET', KEYS[1], field), ARGV[4], 1, true) then
      redis.call('HDEL', KEYS[1], field)
    end
  end
end
if redis.call('HLEN', KEYS[1]) > most then
  redis.call('DEL', KEYS[1])
  return {{}, {'', 'it had more than ' .. ARGV[2] .. ' entries'}}
end
local kept, removed = {}, {}
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if #field > tonumber(ARGV[3]) or redis.call('HSTRLEN', KEYS[1], field) > tonumber(ARGV[1]) then
    redis.call('HDEL', KEYS[1], field)
    removed[#removed + 1] = string.sub(field, 1, tonumber(ARGV[3]))
    removed[#removed + 1] = 'it was longer than allowed'
  else
    kept[#kept + 1] = field
    kept[#kept + 1] = redis.call('HGET', KEYS[1], field)
  end
end
return {kept, removed}
`;

/** KEYS 1 the hash. ARGV 1 the field, 2 the entry that was read: a newer entry is kept. */
export const REMOVE_SCRIPT = `
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
return redis.call('HDEL', KEYS[1], ARGV[1])
`;

/** KEYS 1 the hash. ARGV 1 the field, 2 the new entry, 3 a text that the present one must hold, 4 one that it must not hold,
    or ''. An absent entry is written too. Returns 1 if it was written. */
export const REPLACE_SCRIPT = `
local entry = redis.call('HGET', KEYS[1], ARGV[1])
if entry and not string.find(entry, ARGV[3], 1, true) then return 0 end
if entry and ARGV[4] ~= '' and string.find(entry, ARGV[4], 1, true) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
`;
