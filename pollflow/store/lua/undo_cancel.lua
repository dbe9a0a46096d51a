-- Removes the note of cancel_child, after Redis has lost recent writes and the step is open again.
-- KEYS cancellations
-- ARGS token
-- REPLY done
redis.call('SREM', KEYS[1], args.token)
return reply('done')
