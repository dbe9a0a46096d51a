-- Starts an execution, unless its ref is in use, or `expected_digest` is no longer the flow's current definition.
-- KEYS execution frame history values frames wake queue cancellations parents index flow_index status_index status_flow_index flow*
-- ARGS ref id incarnation expected_digest fields started_at time_limit parent_link max_parents events values next redelivery_timeout
-- REPLY started unpublished at
-- REPLY exists id incarnation status
-- REPLY redeployed
-- REPLY cancelled
-- REPLY crowded
local execution, frame, history, values, frames = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local wake, queue, cancellations, parents = KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local link = args.parent_link
if link and redis.call('SISMEMBER', cancellations, link.token) == 1 then
  return reply('cancelled')
end
local notify = link and link.notify_on_success and '1' or '0'
local found = read(execution, 'id', 'incarnation', 'status')
local now = clock()
if found.id then
  local is_linked = link and redis.call('HEXISTS', parents, link.token) == 1
  if link and found.status == 'Running' and not is_linked then
    -- A step that finds the execution running waits for its end as well.
    if redis.call('HLEN', parents) >= args.max_parents then
      return reply('crowded')
    end
    redis.call('HSET', parents, link.token, notify)
  elseif is_linked and found.status ~= 'Running' then
    -- This parent may need another notification: Redis may have lost the record that it was notified.
    args.id, args.incarnation = found.id, found.incarnation
    redis.call('HSET', parents, link.token, notify)
    redis.call('ZADD', wake, text(now), member('!notify'))
  end
  return reply('exists', found)
end
if args.expected_digest and redis.call('HGET', KEYS[14], 'digest') ~= args.expected_digest then
  return reply('redeployed')
end
-- Nothing is stored under the ref, and the first step is due at once. So each record is written by one command.
local next, at = args.next, text(now)
local lines, last = {}, 0
for number, event in ipairs(args.events) do
  lines[number] = '[' .. at .. ',' .. last .. ',' .. event .. ']'
  last = number
end
redis.call('HSET', execution, 'id', args.id, 'incarnation', args.incarnation, 'status', 'Running', 'at', at,
  'events', last, 'started_at', args.started_at or at, unpack(args.fields))
redis.call('RPUSH', history, unpack(lines))
keep_values(values)
redis.call('SADD', frames, 'r')
redis.call('HSET', frame, 'token', next.token, 'layout', next.layout, 'state', next.state, 'kind', next.kind,
  'metadata', next.metadata, 'step', next.step, 'attempt', next.attempt, 'due', '0', 'claim', '', 'lease', '0',
  'starts', '0', 'sent', '1', 'sent_at', at, 'since', at, 'last', last,
  unpack(next.timeout and {'timeout', next.timeout} or {}))
for index = 10, 13 do
  redis.call('ZADD', KEYS[index], at, args.ref)
end
local wakes = {text(now + args.redelivery_timeout), member('r'), text(now + args.time_limit), member('!deadline')}
if link then
  redis.call('HSET', parents, link.token, notify)
  wakes[5], wakes[6] = at, member('!orphan')
end
redis.call('ZADD', wake, unpack(wakes))
redis.call('PERSIST', cancellations)
return reply('started', {unpublished = publish(queue, next.message, now), at = at})
