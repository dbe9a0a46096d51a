-- Removes the note of cancel_child: Redis went back in time, and the step is there again.
-- KEYS cancellations
-- ARGS token
-- REPLY done
redis.call('SREM', KEYS[1], args.token)
return reply('done')
