-- A call is cut off, and its process knows it: the lease ends and the message is published again. Called by Store.hand_back.
-- KEYS 1 execution (hash)  2 frame (hash)  3 wake-ups (zset)  4 queue (list)
-- ARGV 1 clock  2 member  3 token  4 nonce  5 grace, s  6 '1' if the call is not to count as lost  7 head, tail
-- Replies {'stale'} (the call may not commit any more anyway) or {'sent', unpublished}.
local member, token, nonce, grace, is_excused = take(), take(), take(), tonumber(take()), take() == '1'
local execution, frame, wake, queue = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
if guard(execution, frame, token, nonce, '') == 'stale' then
  return {'stale'}
end
go_on_when_full(wake)
local at = clock()
local deadline = tonumber(redis.call('HGET', frame, 'deadline') or '')
local elsewhere = ARGV[cursor + 1] == ''
post(queue, at, true)
redis.call('HSET', frame, 'claim', '', 'lease', '0', 'sent', '1', 'sent_at', text(at))
redis.call('HDEL', frame, 'returned')
if is_excused then
  redis.call('HINCRBY', frame, 'excused', 1)
end
redis.call('ZADD', wake, text(math.min(at + grace, deadline or at + grace)), member)
return {'sent', elsewhere and 1 or 0}
