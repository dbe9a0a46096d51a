-- Drops the wake-up of a frame that is no more. Called by Store.forget.
-- KEYS 1 frame (hash)  2 wake-ups (zset)
-- ARGV 1 clock  2 member
-- Replies 1 if it was dropped.
if redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
return redis.call('ZREM', KEYS[2], take())
