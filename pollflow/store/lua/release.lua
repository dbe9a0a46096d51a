-- Ends the lease of a call that was interrupted, and publishes its message again.
-- KEYS execution frame wake queue
-- ARGS ref id incarnation frame token nonce is_counted message redelivery_timeout
-- REPLY stale
-- REPLY sent unpublished
local frame, wake, queue = KEYS[2], KEYS[3], KEYS[4]
if guard(find_execution(KEYS[1]), frame) == 'stale' then
  return reply('stale')
end
allow_when_full(wake)
local now = clock()
local deadline = tonumber(redis.call('HGET', frame, 'deadline') or '')
redis.call('HDEL', frame, 'losses')
redis.call('HINCRBY', frame, 'sent', 1)
redis.call('HSET', frame, 'claim', '', 'lease', '0', 'sent_at', text(now), 'since', text(now))
if not args.is_counted then
  redis.call('HINCRBY', frame, 'not_counted', 1)
end
local next_wake = now + args.redelivery_timeout
redis.call('ZADD', wake, text(math.min(next_wake, deadline or next_wake)), member(args.frame))
return reply('sent', {unpublished = publish(queue, args.message, now)})
