-- Drops a duty that is done, of the execution that it was done for and of no other under its name. Called by Store.done.
-- KEYS 1 execution (hash)  2 wake-ups (zset)
-- ARGV 1 clock  2 member  3 id of the execution, '' if it was not there
-- Replies 1 if it was dropped.
local member, id = take(), take()
if (redis.call('HGET', KEYS[1], 'id') or '') ~= id then
  return 0
end
return redis.call('ZREM', KEYS[2], member)
