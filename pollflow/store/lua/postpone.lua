-- Postpones the redelivery of an entry's message, which a worker has received and does not lose: it waits there for its
-- rate limit.
-- KEYS execution frame wake
-- ARGS ref id incarnation frame token seconds
-- REPLY postponed
-- REPLY stale
local frame, wake = KEYS[2], KEYS[3]
local execution = find_execution(KEYS[1])
local found = read(frame, 'token', 'claim', 'lease', 'deadline')
local score = tonumber(redis.call('ZSCORE', wake, member(args.frame)) or '')
local now = clock()
local is_leased = (found.claim or '') ~= '' and tonumber(found.lease) > now
if not execution or not execution.is_running or found.token ~= args.token or not score or is_leased then
  return reply('stale')
end
allow_when_full(wake)
local next_wake, deadline = math.max(score, now + args.seconds), tonumber(found.deadline or '')
redis.call('ZADD', wake, text(math.min(next_wake, deadline or next_wake)), member(args.frame))
return reply('postponed')
