-- Removes a wake-up whose frame or execution no longer exists.
-- KEYS execution frame wake
-- ARGS ref id incarnation name
-- REPLY removed
-- REPLY kept
if find_execution(KEYS[1]) and redis.call('EXISTS', KEYS[2]) == 1 then
  return reply('kept')
end
redis.call('ZREM', KEYS[3], member(args.name))
return reply('removed')
