-- Publishes an entry's message again, or for the first time when a long wait comes within the horizon. Each
-- redelivery of what was lost makes the next one wait twice as long. Called by Store.redeliver.
-- KEYS 1 execution (hash)  2 frame (hash)  3 wake-ups (zset)  4 queue (list)
-- ARGV 1 clock  2 member  3 token  4 deliveries seen  5 moment of the oldest message in the queue or ''
--      6 grace, s  7 longest grace, s  8 horizon, s  9 '1' if its holder returns it, so that it was not lost  10 head, tail
-- Replies {'stale'}, {'queued'} (it still waits in the queue), {'later'} (it is not to be published yet), {'held'} or {'sent', unpublished}.
local member, token, sent, oldest = take(), take(), tonumber(take()), tonumber(take())
local grace, longest, horizon = tonumber(take()), tonumber(take()), tonumber(take())
local is_returned = take() == '1'
local execution, frame, wake, queue = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local found = redis.call('HMGET', frame, 'token', 'kind', 'sent', 'sent_at', 'claim', 'lease', 'deadline', 'due', 'returned')
if found[1] ~= token or tonumber(found[3]) ~= sent or found[2] == 'report' or not is_running(execution) then
  return {'stale'}
end
local at = clock()
local deadline = tonumber(found[7] or '')
local function look_again(seconds)
  redis.call('ZADD', wake, text(math.min(at + seconds, deadline or at + seconds)), member)
end
local claim, lease, sent_at = found[5], tonumber(found[6] or '0'), tonumber(found[4])
if claim ~= '' and lease > at then
  look_again(lease - at)
  return {'held'}
end
local due = tonumber(found[8])
if sent == 0 and due - at > horizon then
  -- It began to wait after the sweep had found it.
  look_again(due - horizon - at)
  return {'later'}
end
-- First in, first out: what was put in after the oldest message there is still in the queue itself. The message of a
-- call that has lapsed is one that was put in since; the one before has been taken.
local is_out = sent > 0 and (claim == '' or sent_at >= lease)
if is_out and oldest and sent_at >= oldest then
  look_again(math.min(math.max(grace, (at - sent_at) / 2), longest))
  return {'queued'}
end
local elsewhere = ARGV[cursor + 1] == ''
post(queue, at, true)
redis.call('HSET', frame, 'sent', sent + 1, 'sent_at', text(at))
local returned = tonumber(found[9] or '0')
if is_returned then
  returned = redis.call('HINCRBY', frame, 'returned', 1)
end
look_again(math.max(0, due - at) + math.min(grace * 2 ^ math.max(0, sent - returned), longest))
return {'sent', elsewhere and 1 or 0}
