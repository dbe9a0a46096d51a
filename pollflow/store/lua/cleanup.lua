-- Deletes frames of an execution that has ended, a slice at a time.
-- KEYS execution frames wake frame_keys*
-- ARGS ref id incarnation names
-- REPLY stale
-- REPLY done left
local execution = find_execution(KEYS[1])
if not execution or execution.is_running then
  return reply('stale')
end
for _, name in ipairs(args.names) do
  redis.call('SREM', KEYS[2], name)
  redis.call('ZREM', KEYS[3], member(name))
end
for index = 4, #KEYS do
  redis.call('UNLINK', KEYS[index])
end
local left = redis.call('SCARD', KEYS[2])
if left == 0 then
  redis.call('ZREM', KEYS[3], member('!cleanup'))
end
return reply('done', {left = left})
