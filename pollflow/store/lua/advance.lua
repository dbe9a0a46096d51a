-- Commits a transition after which the frame continues.
-- KEYS execution frame history values wake queue results outbox countdowns
-- ARGS ref id incarnation frame token nonce join_nonce carried is_result expected_events inline_nonce lease_seconds events values outbox_entry next countdown_limits redelivery_timeout
-- REPLY stale
-- REPLY late
-- REPLY unclaimed
-- REPLY conflict events
-- REPLY done at unpublished events starts deadline secret
local frame, history, values, wake, queue, results, outbox = KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local execution = find_execution(KEYS[1])
local verdict = guard(execution, frame)
if verdict == 'late' then
  return reply('late')
end
if verdict == 'stale' then
  return reply('stale')
end
if verdict == 'unclaimed' then
  return reply('unclaimed')
end
local now = clock()
local unpublished = 0
if verdict == 'fresh' then
  if args.expected_events and execution.events ~= args.expected_events then
    return reply('conflict', {events = execution.events})
  end
  keep_values(values)
  local last = append(execution, history, args.events, redis.call('HGET', frame, 'last'), now)
  if args.join_nonce then
    redis.call('UNLINK', results)
  end
  if args.outbox_entry then
    redis.call('HSET', outbox, args.outbox_entry.token, args.outbox_entry.ref)
    redis.call('ZADD', wake, text(now), member('!outbox'))
  end
  unpublished = schedule_next(frame, args.frame, wake, KEYS[9], queue, args.next, now, last)
  if args.inline_nonce and args.next.kind == 'call' then
    lease_call(execution, frame, args.frame, history, wake, args.inline_nonce, now)
  end
end
local answer = {at = text(now), unpublished = unpublished, events = execution.events}
if args.inline_nonce then
  local entry = read(frame, 'starts', 'deadline')
  answer.starts, answer.deadline, answer.secret = entry.starts, entry.deadline, redis.call('HGET', KEYS[1], 'secret')
end
return reply('done', answer)
