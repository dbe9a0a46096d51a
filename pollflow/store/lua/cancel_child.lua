-- Notes that a step no longer wants a sub-flow, so that the step can no longer start it or wait for it. The guard is
-- the step's task token, which names the parent's id and incarnation, since the sub-flow itself may not exist yet.
-- KEYS execution cancellations wake
-- ARGS token keep_seconds
-- REPLY done
allow_when_full(KEYS[3])
redis.call('SADD', KEYS[2], args.token)
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('PERSIST', KEYS[2])
else
  redis.call('EXPIRE', KEYS[2], args.keep_seconds)
end
return reply('done')
