-- Commits the end of a branch or iteration: stores its local for the parent frame, and publishes the parent's message
-- if the parent can continue.
-- KEYS execution frame history values wake queue frames parent_frame parent_results results
-- ARGS ref id incarnation frame token nonce join_nonce is_result parent_frame parent_token index result events values message redelivery_timeout
-- REPLY stale
-- REPLY late
-- REPLY done unpublished
local frame, history, values, wake, queue, frames = KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local parent, parent_results, results = KEYS[8], KEYS[9], KEYS[10]
local execution = find_execution(KEYS[1])
local verdict = guard(execution, frame)
if verdict == 'late' then
  return reply('late')
end
if verdict == 'stale' or redis.call('HGET', parent, 'token') ~= args.parent_token then
  return reply('stale')
end
local now = clock()
keep_values(values)
append(execution, history, args.events, redis.call('HGET', frame, 'last'), now)
redis.call('HSET', parent_results, args.index, args.result)
redis.call('UNLINK', frame, results)
redis.call('SREM', frames, args.frame)
redis.call('ZREM', wake, member(args.frame))
local ended = redis.call('HINCRBY', parent, 'ended', 1)
local found = read(parent, 'made', 'total', 'notified')
local made, total = tonumber(found.made), tonumber(found.total)
-- The last child always notifies; a free slot is notified once, until the parent has been claimed.
if ended ~= total and (made >= total or found.notified == '1') then
  return reply('done', {unpublished = 0})
end
redis.call('HDEL', parent, 'losses')
redis.call('HINCRBY', parent, 'sent', 1)
redis.call('HSET', parent, 'notified', '1', 'sent_at', text(now), 'due', '0')
redis.call('ZADD', wake, text(now + args.redelivery_timeout), member(args.parent_frame))
return reply('done', {unpublished = publish(queue, args.message, now)})
