-- Commits the next slice of children of a map step. The frame's token stays while children run, so that their ends can
-- name it. The number of children made and the latest claim guard against making a slice twice.
-- KEYS execution frame history values wake queue frames countdowns child_keys*
-- ARGS ref id incarnation frame token join_nonce carried expected_events joining_token total made max_concurrency layout state metadata events values message children countdown_limits redelivery_timeout
-- REPLY stale
-- REPLY unclaimed
-- REPLY conflict events
-- REPLY done unpublished unpublished_children
local frame, history, values, wake, queue, frames = KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local countdowns = KEYS[8]
local execution = find_execution(KEYS[1])
local is_joining = args.token == args.joining_token
local found = read(frame, 'made', 'ended', 'last')
local verdict = guard(execution, frame)
if verdict == 'stale' or (is_joining and tonumber(found.made or '0') ~= args.made) then
  return reply('stale')
end
if verdict == 'unclaimed' then
  return reply('unclaimed')
end
if args.expected_events and execution.events ~= args.expected_events then
  return reply('conflict', {events = execution.events})
end
local now = clock()
keep_values(values)
local last = append(execution, history, args.events, found.last, now)
local ended = is_joining and tonumber(found.ended) or 0
local made = args.made + #args.children
-- Children may have ended after this slice was decided. Then the frame needs another message now.
local has_more = ended >= args.total or (made < args.total and made - ended < args.max_concurrency)
redis.call('HDEL', frame, 'losses', 'engine_errors')
redis.call('HSET', frame, 'token', args.joining_token, 'layout', args.layout, 'state', args.state, 'kind', 'children',
  'metadata', args.metadata, 'due', '0', 'claim', '', 'made', made, 'ended', ended, 'total', args.total,
  'max_concurrency', args.max_concurrency, 'notified', has_more and '1' or '0',
  'sent_at', text(now), 'last', last)
if not is_joining then
  redis.call('HSET', frame, 'since', text(now))
end
local unpublished = 0
if has_more then
  redis.call('HINCRBY', frame, 'sent', 1)
  redis.call('ZADD', wake, text(now + args.redelivery_timeout), member(args.frame))
  unpublished = publish(queue, args.message, now)
else
  redis.call('ZREM', wake, member(args.frame))
end
local unpublished_children = {}
for index, child in ipairs(args.children) do
  local key, child_queue = KEYS[7 + 2 * index], KEYS[8 + 2 * index]
  redis.call('SADD', frames, child.frame)
  local child_last = append(execution, history, child.events, last, now)
  unpublished_children[index] = schedule_next(key, child.frame, wake, countdowns, child_queue, child.next, now, child_last)
  redis.call('HSET', key, 'parent_token', args.joining_token, 'parent_metadata', args.metadata)
end
return reply('done', {unpublished = unpublished, unpublished_children = unpublished_children})
