-- Ends an execution: by its last transition (with `token`), or from outside by a stop or its time limit (without).
-- KEYS execution frame history values wake parents running_index running_flow_index ended_index ended_flow_index audit
-- ARGS ref id incarnation frame token nonce join_nonce carried is_result end_id status fields expected_parents retention events values by error
-- REPLY stale
-- REPLY late
-- REPLY unclaimed
-- REPLY gone
-- REPLY ended status
-- REPLY done has_parents
local frame, history, values, wake, parents = KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local execution = find_execution(KEYS[1])
if not execution then
  return reply(args.token and 'stale' or 'gone')
end
local has_parents = redis.call('HLEN', parents) > 0 and 1 or 0
local before = read(KEYS[1], 'end_id', 'started_at')
if before.end_id == args.end_id then
  return reply('done', {has_parents = has_parents})
end
local verdict = args.token and guard(execution, frame)
if verdict == 'late' then
  return reply('late')
end
if verdict == 'stale' then
  return reply('stale')
end
if verdict == 'unclaimed' then
  return reply('unclaimed')
end
if not execution.is_running then
  return reply('ended', {status = execution.status})
end
if args.expected_parents then
  local known = 0
  for _, token in ipairs(args.expected_parents) do
    known = known + redis.call('HEXISTS', parents, token)
  end
  if known ~= redis.call('HLEN', parents) then
    return reply('ended', {status = execution.status})
  end
end
local now = clock()
keep_values(values)
append(execution, history, args.events, redis.call('HGET', frame, 'last') or 0, now)
for name, value in pairs(args.fields) do
  redis.call('HSET', KEYS[1], name, value)
end
redis.call('HSET', KEYS[1], 'status', args.status, 'ended_at', text(execution.at), 'end_id', args.end_id)
for index = 7, 8 do
  redis.call('ZREM', KEYS[index], args.ref)
end
for index = 9, 10 do
  redis.call('ZADD', KEYS[index], before.started_at, args.ref)
end
redis.call('ZREM', wake, member(args.frame), member('r'), member('!deadline'))
redis.call('ZADD', wake, text(now), member('!cleanup'), text(now + args.retention), member('!purge'))
if has_parents == 1 then
  redis.call('ZADD', wake, text(now), member('!notify'))
end
audit(KEYS[11], 'stop', now, args.error)
return reply('done', {has_parents = has_parents})
