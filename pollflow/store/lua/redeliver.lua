-- Publishes an entry's message again, or for the first time if its wait was left to the sweep. Each lost message doubles
-- the time until the next one counts as lost. `reason` says why a worker returns it, for users.
-- KEYS execution frame wake countdowns queue
-- ARGS ref id incarnation frame token sent oldest_in_queue is_returned reason message countdown_limits redelivery_timeout max_redelivery_timeout
-- REPLY stale
-- REPLY queued
-- REPLY later
-- REPLY leased
-- REPLY sent unpublished
local frame, wake, countdowns, queue = KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local execution = find_execution(KEYS[1])
local found = read(frame, 'token', 'kind', 'sent', 'sent_at', 'claim', 'lease', 'deadline', 'due', 'losses')
if not execution or not execution.is_running or found.token ~= args.token or found.kind == 'report'
  or tonumber(found.sent) ~= args.sent then
  return reply('stale')
end
local now = clock()
local deadline = tonumber(found.deadline or '')
local function wake_after(seconds)
  redis.call('ZADD', wake, text(math.min(now + seconds, deadline or now + seconds)), member(args.frame))
end
local claim, lease, sent_at = found.claim, tonumber(found.lease or '0'), tonumber(found.sent_at)
if claim ~= '' and lease > now then
  wake_after(lease - now)
  return reply('leased')
end
local due = tonumber(found.due)
-- A message that was published before and comes back early is counted already.
local deferred_until = args.sent == 0 and defer_until(countdowns, args.token, due, now)
if deferred_until then
  wake_after(deferred_until - now)
  return reply('later')
end
-- The queue is first in, first out, so a message newer than the oldest one is still in it. The message of a call whose
-- lease has expired was taken from the queue; one published since then may be in it.
local is_published = args.sent > 0 and (claim == '' or sent_at >= lease)
if is_published and args.oldest_in_queue and sent_at >= args.oldest_in_queue then
  wake_after(math.min(math.max(args.redelivery_timeout, (now - sent_at) / 2), args.max_redelivery_timeout))
  return reply('queued')
end
-- The message that a worker returns, and the first message of a long wait, were not lost.
local losses = tonumber(found.losses or '0')
if args.sent > 0 and not args.is_returned then
  losses = losses + 1
end
if args.reason ~= '' then
  redis.call('HSET', frame, 'reason', args.reason)
end
redis.call('HSET', frame, 'sent', args.sent + 1, 'sent_at', text(now), 'losses', losses)
wake_after(math.max(0, due - now) + math.min(args.redelivery_timeout * 2 ^ losses, args.max_redelivery_timeout))
return reply('sent', {unpublished = publish(queue, args.message, now)})
