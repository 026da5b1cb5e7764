// scripts.ts: the acceptor's steps on a status node, in Lua. Each script is one atomic step. It is durable before the
// reply, because status nodes run with `appendonly yes` and `appendfsync always`. Pure: only texts.
//
// KEYS 1 the stamp, 2 the register (hash), 3 the view (body). ARGV 1 is always the cluster's name.
// Hash fields: incarnation, promised, accepted, body_ballot, heartbeat, epoch, revision, members, chosen; ballots are
// texts "COUNT:proposer", an absent one is the empty text. Invariant: promised is never below accepted.

const PRELUDE = `
local stamp = redis.call('GET', KEYS[1])
local function field(name) return redis.call('HGET', KEYS[2], name) or '' end
-- Ballots by count, then by the bytes of the proposer's name: Lua's own < follows the locale of the server.
local function higher(a, b)
  if a == '' then return false end
  if b == '' then return true end
  local countA, nameA = string.match(a, '^(%d+):(.*)$')
  local countB, nameB = string.match(b, '^(%d+):(.*)$')
  countA, countB = tonumber(countA), tonumber(countB)
  if countA ~= countB then return countA > countB end
  for index = 1, math.min(#nameA, #nameB) do
    local x, y = string.byte(nameA, index), string.byte(nameB, index)
    if x ~= y then return x > y end
  end
  return #nameA > #nameB
end
`;

const VOTERS_ONLY = `
if not stamp then return {'unstamped'} end
if stamp ~= ARGV[1] then return {'foreign', stamp} end
`;

/** ARGV 2 the ballot. Replies promised with all accepted fields, or refused with the present promise. */
export const PREPARE_SCRIPT = `${PRELUDE}${VOTERS_ONLY}
local promised = field('promised')
-- Strictly higher: a ballot is promised once, so that no two proposers of one name can both hold it.
if not higher(ARGV[2], promised) then return {'refused', promised} end
redis.call('HSET', KEYS[2], 'promised', ARGV[2])
return {'promised', field('incarnation'), field('accepted'), field('body_ballot'), field('heartbeat'),
  field('epoch'), field('revision'), field('members'), redis.call('GET', KEYS[3]) or ''}
`;

/** ARGV 2 ballot, 3 body ballot, 4 heartbeat, 5 epoch, 6 revision, 7 chosen, 8 next, 9 members, 10 the incarnation of
    this node in members, 11 the channel, 12 (optional) the body, 13 (optional, with a body) the twine.conf whose digest
    the body contains; KEYS 4 is its key. */
export const ACCEPT_SCRIPT = `${PRELUDE}${VOTERS_ONLY}
if field('incarnation') ~= ARGV[10] then return {'stranger', field('incarnation')} end
local promised, accepted = field('promised'), field('accepted')
if higher(promised, ARGV[2]) or not higher(ARGV[2], accepted) then return {'refused', promised} end
local isNewBody = field('body_ballot') ~= ARGV[3]
if isNewBody and not ARGV[12] then return {'needs-body'} end
local chosen = field('chosen')
local isNewlyChosen = higher(ARGV[7], chosen)
if isNewlyChosen then chosen = ARGV[7] end
redis.call('HSET', KEYS[2], 'promised', ARGV[8], 'accepted', ARGV[2], 'body_ballot', ARGV[3],
  'heartbeat', ARGV[4], 'epoch', ARGV[5], 'revision', ARGV[6], 'members', ARGV[9], 'chosen', chosen)
if isNewBody then redis.call('SET', KEYS[3], ARGV[12]) end
if isNewBody and ARGV[13] then redis.call('SET', KEYS[4], ARGV[13]) end
if isNewBody or isNewlyChosen then redis.call('PUBLISH', ARGV[11], ARGV[5] .. ' ' .. ARGV[6]) end
return {'accepted'}
`;

/** ARGV 2 the new incarnation, 3 the one it replaces (empty: none, the node must be unstamped), 4 ballot (empty at a
    first start), 5 body ballot, 6 heartbeat, 7 epoch, 8 revision, 9 members, 10 body. */
export const SEED_SCRIPT = `${PRELUDE}
if stamp and stamp ~= ARGV[1] then return 0 end
if (stamp and field('incarnation') or '') ~= ARGV[3] then return 0 end
if not stamp then
  -- What lies under our keys without a stamp was never a vote of this node's life.
  redis.call('DEL', KEYS[2], KEYS[3])
  redis.call('SET', KEYS[1], ARGV[1])
end
redis.call('HSET', KEYS[2], 'incarnation', ARGV[2])
if ARGV[4] == '' then return 1 end
if higher(ARGV[4], field('promised')) then redis.call('HSET', KEYS[2], 'promised', ARGV[4]) end
if higher(ARGV[5], field('chosen')) then redis.call('HSET', KEYS[2], 'chosen', ARGV[5]) end
if higher(ARGV[4], field('accepted')) then
  redis.call('HSET', KEYS[2], 'accepted', ARGV[4], 'body_ballot', ARGV[5], 'heartbeat', ARGV[6],
    'epoch', ARGV[7], 'revision', ARGV[8], 'members', ARGV[9])
  redis.call('SET', KEYS[3], ARGV[10])
end
return 1
`;
