-- Ends an execution: by its last transition, by a stop or by its time limit. Called by Store.commit and Store.end.
-- KEYS 1 execution (hash)  2 frame that ends it, or the root frame (hash)  3 history (list)  4 long values (hash)  5 wake-ups (zset)
--      6 frames (set)  7, 8 indexes to leave (zsets)  9.. indexes to join (zsets)
-- ARGV 1 clock  2 ref  3 token ('' for stop and time limit)  4 nonce or '*'  5 status  6 end id
--      7 retention, s  8 member of the frame  9 member of the root frame  10 of the deadline  11 of tidying  12 of the purge  13 of telling who waits
--      14 nonce of the claim that has read the results of children, or ''  15 id that the execution must have or ''
--      16 waiters that it must have or '*'  17 count of fields, then name and value of each  18 events (see `append`)
-- Replies {'stale'}, {'ended', status} (it had ended before, or is another one) or {'done', moment, 1 if somebody waits for the end}.
local ref, token, nonce, status, end_id, retention = take(), take(), take(), take(), take(), tonumber(take())
local member, root, deadline, tidy, purge, notify, joiner = take(), take(), take(), take(), take(), take(), take()
local id, waiters = take(), take()
local execution, frame, history, wake, frames = KEYS[1], KEYS[2], KEYS[3], KEYS[5], KEYS[6]
local before = redis.call('HMGET', execution, 'status', 'end_id', 'started_at', 'at', 'waiters', 'id')
local is_awaited = (before[5] or '') ~= '' and 1 or 0
if before[2] == end_id then
  return {'done', before[4], is_awaited}
end
if token ~= '' and (guard(execution, frame, token, nonce, '') == 'stale' or is_overtaken(frame, joiner)) then
  return {'stale'}
end
if before[1] ~= 'Running' then
  return {'ended', before[1] or ''}
end
if (id ~= '' and before[6] ~= id) or (waiters ~= '*' and (before[5] or '') ~= waiters) then
  return {'ended', before[1]}
end
local at = moment_of(execution)
for _ = 1, tonumber(take()) do
  redis.call('HSET', execution, take(), take())
end
redis.call('HSET', execution, 'status', status, 'ended_at', text(at), 'end_id', end_id)
append(execution, history, KEYS[4], at, redis.call('HGET', frame, 'last') or 0)
for index = 7, 8 do
  redis.call('ZREM', KEYS[index], ref)
end
for index = 9, #KEYS do
  redis.call('ZADD', KEYS[index], before[3], ref)
end
redis.call('ZREM', wake, member, root, deadline)
redis.call('ZADD', wake, text(at), tidy, text(at + retention), purge)
if is_awaited == 1 then
  redis.call('ZADD', wake, text(at), notify)
end
return {'done', text(at), is_awaited}
