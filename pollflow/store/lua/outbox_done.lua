-- Removes an outbox entry that is done, and the job with the last one.
-- KEYS execution wake outbox
-- ARGS ref id incarnation token
-- REPLY done
-- REPLY stale
if not find_execution(KEYS[1]) then
  return reply('stale')
end
redis.call('HDEL', KEYS[3], args.token)
if redis.call('HLEN', KEYS[3]) == 0 then
  redis.call('ZREM', KEYS[2], member('!outbox'))
end
return reply('done')
