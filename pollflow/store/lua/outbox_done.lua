-- Strikes an errand off the list of an execution. Called by Store.errand_done.
-- KEYS 1 execution (hash)  2 wake-ups (zset)
-- ARGV 1 clock  2 member  3 id of the execution  4 the errand
-- Replies 1 if it was on the list.
local member, id, errand = take(), take(), take() .. '\n'
local found = redis.call('HMGET', KEYS[1], 'id', 'errands')
local from, to = string.find(found[2] or '', errand, 1, true)
if found[1] ~= id or not from then
  return 0
end
local left = string.sub(found[2], 1, from - 1) .. string.sub(found[2], to + 1)
if left == '' then
  redis.call('HDEL', KEYS[1], 'errands')
  redis.call('ZREM', KEYS[2], member)
else
  redis.call('HSET', KEYS[1], 'errands', left)
end
return 1
