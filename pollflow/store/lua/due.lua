-- Takes the wake-ups whose moment has come and moves each ahead by one grace, so that another sweep does not see them
-- and a sweep that dies loses nothing. Called by Store.due.
-- KEYS 1 wake-ups (zset)
-- ARGV 1 clock  2 most to take  3 grace, s
-- Replies {moment, member, member, ...}.
local most, grace = tonumber(take()), tonumber(take())
local at = clock()
go_on_when_full(KEYS[1])
local members = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', text(at), 'LIMIT', 0, most)
for _, member in ipairs(members) do
  redis.call('ZADD', KEYS[1], text(at + grace), member)
end
return {text(at), unpack(members)}
