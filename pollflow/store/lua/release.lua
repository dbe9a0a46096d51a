-- Ends the lease of a call that was interrupted, or that its worker cannot make, and publishes its message again, to be
-- handled after `pause_seconds`. `reason` says why, for users.
-- KEYS execution frame wake queue
-- ARGS ref id incarnation frame token nonce is_counted pause_seconds reason message redelivery_timeout
-- REPLY stale
-- REPLY sent unpublished
local frame, wake, queue = KEYS[2], KEYS[3], KEYS[4]
if guard(find_execution(KEYS[1]), frame) == 'stale' then
  return reply('stale')
end
allow_when_full(wake)
local now = clock()
redis.call('HDEL', frame, 'losses')
redis.call('HINCRBY', frame, 'sent', 1)
redis.call('HSET', frame, 'claim', '', 'lease', '0', 'sent_at', text(now), 'since', text(now), 'reason', args.reason)
if not args.is_counted then
  redis.call('HINCRBY', frame, 'not_counted', 1)
end
if args.pause_seconds > 0 then
  local found = read(frame, 'starts', 'not_counted', 'refused_at')
  redis.call('HSET', frame, 'due', text(now + args.pause_seconds), 'refused_at', found.refused_at or text(now))
  if found.starts == found.not_counted then
    redis.call('HDEL', frame, 'deadline') -- no call has begun, so the attempt's timeout has not started
  end
end
local deadline = tonumber(redis.call('HGET', frame, 'deadline') or '')
local next_wake = now + args.pause_seconds + args.redelivery_timeout
redis.call('ZADD', wake, text(math.min(next_wake, deadline or next_wake)), member(args.frame))
return reply('sent', {unpublished = publish(queue, args.message, now)})
