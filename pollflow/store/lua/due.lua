-- Takes the wake-ups that are due, and moves each ahead by the redelivery timeout: another sweep does not see them, and
-- a sweep that dies loses nothing.
-- KEYS wake
-- ARGS limit redelivery_timeout
-- REPLY due at members
local wake = KEYS[1]
local now = clock()
allow_when_full(wake)
local members = redis.call('ZRANGEBYSCORE', wake, '-inf', text(now), 'LIMIT', 0, args.limit)
for _, name in ipairs(members) do
  redis.call('ZADD', wake, text(now + args.redelivery_timeout), name)
end
return reply('due', {at = text(now), members = members})
