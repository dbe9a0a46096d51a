-- Takes the due wake-ups, and moves each ahead by the redelivery timeout. So no other sweep takes them, and they are
-- due again if this sweep dies.
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
