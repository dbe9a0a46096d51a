-- Commits a transition after which the frame goes on. Called by Store.commit.
-- KEYS 1 execution (hash)  2 frame (hash)  3 history (list)  4 long values (hash)  5 wake-ups (zset)  6 queue (list)
--      7 results of the children that were joined, if any (hash): deleted
-- ARGV 1 clock  2 member  3 token  4 nonce or '*'  5 next token  6 events expected so far or ''
--      7 nonce of the call to go on with at once ('hold') or ''  8 its lease, s
--      9 nonce of the claim that has read the results, or ''  10 events (see `append`)  11 member of the errands  12 an errand to be done for this or ''  13 what `settle` takes
-- Replies {'stale'}, {'moved', events} or {'done', moment, unpublished, starts, events, deadline}.
local member, token, nonce, next_token, expected, held, seconds = take(), take(), take(), take(), take(), take(), take()
local joiner = take()
local execution, frame, history, wake, queue = KEYS[1], KEYS[2], KEYS[3], KEYS[5], KEYS[6]
local verdict = guard(execution, frame, token, nonce, next_token)
if verdict == 'stale' or (verdict == 'fresh' and is_overtaken(frame, joiner)) then
  return {'stale'}
end
local at = moment_of(execution)
local unpublished = 0
if verdict == 'fresh' then
  local events = redis.call('HGET', execution, 'events')
  if expected ~= '' and events ~= expected then
    return {'moved', events}
  end
  local last = append(execution, history, KEYS[4], at, redis.call('HGET', frame, 'last'))
  if KEYS[7] then
    redis.call('UNLINK', KEYS[7])
  end
  local errands, errand = take(), take()
  if errand ~= '' then
    redis.call('HSET', execution, 'errands', (redis.call('HGET', execution, 'errands') or '') .. errand .. '\n')
    redis.call('ZADD', wake, text(at), errands)
  end
  unpublished = settle(frame, wake, member, queue, at, last)
  if held ~= '' and redis.call('HGET', frame, 'kind') == 'call' then
    lease_call(execution, frame, history, wake, member, at, held, tonumber(seconds))
  end
end
local now_is = redis.call('HMGET', frame, 'starts', 'deadline')
return {'done', text(at), unpublished, now_is[1], redis.call('HGET', execution, 'events'), now_is[2] or ''}
