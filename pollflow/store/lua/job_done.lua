-- Removes a maintenance job that is done from the wake-up index.
-- KEYS execution wake
-- ARGS ref id incarnation job
-- REPLY done
-- REPLY stale
if not find_execution(KEYS[1]) then
  return reply('stale')
end
redis.call('ZREM', KEYS[2], member('!' .. args.job))
return reply('done')
