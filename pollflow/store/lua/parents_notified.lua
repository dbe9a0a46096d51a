-- Marks steps that no longer wait for the end of an execution. Without other steps, the job `notify` is done.
-- `has_more`: other steps have not been tried yet, so the job is due at once.
-- KEYS execution parents wake
-- ARGS ref id incarnation tokens has_more
-- REPLY stale
-- REPLY done left
local parents, wake = KEYS[2], KEYS[3]
if not find_execution(KEYS[1]) then
  return reply('stale')
end
for _, token in ipairs(args.tokens) do
  local flag = redis.call('HGET', parents, token)
  if flag and #flag == 1 then
    redis.call('HSET', parents, token, flag .. 'n')
  end
end
local left = 0
for _, flag in ipairs(redis.call('HVALS', parents)) do
  left = left + (#flag == 1 and 1 or 0)
end
if left == 0 then
  redis.call('ZREM', wake, member('!notify'))
elseif args.has_more then
  redis.call('ZADD', wake, 'XX', text(clock()), member('!notify'))
end
return reply('done', {left = left})
