-- Replaces the oldest events of a history by the block that they were packed into. Called by Store.pack.
-- KEYS 1 execution (hash)  2 history (list)  3 blocks (list)
-- ARGV 1 clock  2 count of events packed so far  3 count of events in the block  4 the block
-- Replies 1, or 0 if somebody else has packed meanwhile.
local packed, count = take(), tonumber(take())
local execution, history, blocks = KEYS[1], KEYS[2], KEYS[3]
if (redis.call('HGET', execution, 'packed') or '0') ~= packed or redis.call('LLEN', history) < count then
  return 0
end
redis.call('RPUSH', blocks, take())
redis.call('LTRIM', history, count, -1)
redis.call('HSET', execution, 'packed', tonumber(packed) + count)
return 1
