-- Starts an execution, unless one has its ref. Called by Store.start.
-- KEYS 1 execution (hash)  2 root frame (hash)  3 history (list)  4 long values (hash)  5 frames (set)  6 wake-ups (zset)  7 queue (list)
--      8 who has given it up (set)  9.. indexes to join (zsets)
-- ARGV 1 clock  2 ref  3 member of the root frame  4 member of the deadline  5 time limit, s or ''
--      6 who waits for its end (Waiter) or ''  7 member of looking whether that is so  8 member of telling the end
--      9 count of fields, then name and value of each  10 events (see `append`)  11 what `settle` takes
-- Replies {'started', moment, unpublished}, {'exists', id, status}, or {'given up'}: who was to wait has timed out, say.
local ref, member, duty, limit, waiter, orphan, notify = take(), take(), take(), take(), take(), take(), take()
local execution, frame, history, frames, wake, queue = KEYS[1], KEYS[2], KEYS[3], KEYS[5], KEYS[6], KEYS[7]
if waiter ~= '' and redis.call('SISMEMBER', KEYS[8], string.sub(waiter, 2)) == 1 then
  return {'given up'}
end
local found = redis.call('HMGET', execution, 'id', 'status', 'waiters')
if found[1] then
  local waiters = found[3] or ''
  local is_told = waiter ~= '' and string.find(',' .. waiters .. ',', ',' .. waiter .. ',', 1, true)
  if found[2] == 'Running' and waiter ~= '' and not is_told then
    -- One that runs under the name is taken: it tells whoever waits, once each.
    redis.call('HSET', execution, 'waiters', waiters == '' and waiter or waiters .. ',' .. waiter)
  elseif found[2] ~= 'Running' and is_told then
    -- It was told in a second that Redis has lost, perhaps, and is told again.
    redis.call('ZADD', wake, text(clock()), notify)
  end
  return {'exists', found[1], found[2]}
end
local at = clock()
for _ = 1, tonumber(take()) do
  redis.call('HSET', execution, take(), take())
end
redis.call('HSET', execution, 'status', 'Running', 'at', text(at), 'events', 0)
local last = append(execution, history, KEYS[4], at, 0)
redis.call('SADD', frames, 'r')
for index = 9, #KEYS do
  redis.call('ZADD', KEYS[index], text(at), ref)
end
if limit ~= '' then
  redis.call('ZADD', wake, text(at + tonumber(limit)), duty)
end
redis.call('PERSIST', KEYS[8])
if waiter ~= '' then
  redis.call('ZADD', wake, text(at), orphan)
end
local unpublished = settle(frame, wake, member, queue, at, last)
return {'started', text(at), unpublished}
