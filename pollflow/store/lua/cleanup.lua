-- Deletes frames of an execution that has ended, a slice at a time. Called by Store.tidy, which knows the frames.
-- KEYS 1 execution (hash)  2 frames (set)  3 wake-ups (zset)  4.. keys of the slice
-- ARGV 1 clock  2 id of the execution  3 member of tidying  4 count of frames, then name and member of each
-- Replies the number of frames left, or -1 if the execution runs or is another one.
local id, duty, count = take(), take(), tonumber(take())
if redis.call('HGET', KEYS[1], 'id') ~= id or is_running(KEYS[1]) then
  return -1
end
for _ = 1, count do
  redis.call('SREM', KEYS[2], take())
  redis.call('ZREM', KEYS[3], take())
end
for index = 4, #KEYS do
  redis.call('UNLINK', KEYS[index])
end
local left = redis.call('SCARD', KEYS[2])
if left == 0 then
  redis.call('ZREM', KEYS[3], duty)
end
return left
