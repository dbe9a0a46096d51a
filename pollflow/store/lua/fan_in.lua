-- Commits the end of a branch or iteration: its local is kept for the parent, who is told if there is something to do.
-- Called by Store.commit.
-- KEYS 1 execution (hash)  2 frame (hash)  3 history (list)  4 long values (hash)  5 wake-ups (zset)  6 queue (list)  7 frames (set)
--      8 parent's frame (hash)  9 parent's results (hash)  10 the frame's own results, of a last step that was wide (hash): deleted
-- ARGV 1 clock  2 member  3 token  4 nonce or '*'  5 frame's name  6 parent's member  7 parent's token
--      8 index  9 result  10 grace, s  11 nonce of the claim that has read the results of the frame's own children, or ''
--      12 events (see `append`)  13 head, tail of the parent's message
-- Replies {'stale'} or {'done', moment, unpublished}.
local member, token, nonce, name, above, parent_token = take(), take(), take(), take(), take(), take()
local index, result, grace, joiner = take(), take(), tonumber(take()), take()
local execution, frame, history, wake, queue, frames = KEYS[1], KEYS[2], KEYS[3], KEYS[5], KEYS[6], KEYS[7]
local parent, results = KEYS[8], KEYS[9]
if guard(execution, frame, token, nonce, '') == 'stale' or is_overtaken(frame, joiner)
  or redis.call('HGET', parent, 'token') ~= parent_token then
  return {'stale'}
end
local at = moment_of(execution)
append(execution, history, KEYS[4], at, redis.call('HGET', frame, 'last'))
redis.call('HSET', results, index, result)
redis.call('UNLINK', frame, KEYS[10])
redis.call('SREM', frames, name)
redis.call('ZREM', wake, member)
local ended = redis.call('HINCRBY', parent, 'ended', 1)
local found = redis.call('HMGET', parent, 'made', 'total', 'called')
local done, waiting = ended == tonumber(found[2]), tonumber(found[1]) < tonumber(found[2])
-- The last one always tells; a free slot is told once, until the parent has looked.
local tells = done or (waiting and found[3] ~= '1')
local elsewhere = ARGV[cursor + 1] == ''
post(queue, at, tells)
if tells then
  redis.call('HSET', parent, 'called', '1', 'sent', '1', 'sent_at', text(at), 'due', text(at))
  redis.call('HDEL', parent, 'returned')
  redis.call('ZADD', wake, text(at + grace), above)
end
return {'done', text(at), (tells and elsewhere) and 1 or 0}
