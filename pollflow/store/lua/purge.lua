-- Deletes what is left of an execution that has ended and has no frames any more. Called by Store.purge.
-- KEYS 1 execution (hash)  2 history (list)  3 long values (hash)  4 blocks of history (list)
--      5 frames (set)  6 who has given it up (set)  7 wake-ups (zset)  8.. its indexes (zsets)
-- ARGV 1 clock  2 ref  3 id  4.. members of its duties
-- Replies 1 if it is gone, 0 if it runs, has frames, or is another one by now.
local ref, id = take(), take()
local found = redis.call('HMGET', KEYS[1], 'id', 'status')
if found[1] ~= id or found[2] == 'Running' or redis.call('SCARD', KEYS[5]) > 0 then
  return 0
end
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6])
redis.call('ZREM', KEYS[7], unpack(ARGV, cursor + 1))
for index = 8, #KEYS do
  redis.call('ZREM', KEYS[index], ref)
end
return 1
