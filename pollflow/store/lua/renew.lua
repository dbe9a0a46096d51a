-- A worker says that it still holds a message, or runs its call: the lease and the wake-up move ahead. Called by Store.vouch.
-- KEYS 1 execution (hash)  2 frame (hash)  3 wake-ups (zset)
-- ARGV 1 clock  2 member  3 token  4 worker (the beginning of its nonces)  5 lease, s
--      6 '1' if the message's task has begun
-- Replies 1, or 0 if there is nothing to hold any more.
local member, token, worker, seconds, has_begun = take(), take(), take(), tonumber(take()), take() == '1'
local execution, frame, wake = KEYS[1], KEYS[2], KEYS[3]
local found = redis.call('HMGET', frame, 'token', 'claim', 'deadline', 'due')
-- A message that went on to the next step (`hold`) is known by the token that it came with.
local is_held = found[1] and (found[1] == token or string.sub(found[1], 1, #token + 1) == token .. '+')
if not is_held or not is_running(execution) then
  return 0
end
local claim, deadline = found[2], tonumber(found[3] or '')
if claim == '' and (has_begun or found[1] ~= token) then
  -- What is claimed for no call takes no time; or Redis has forgotten the claim, and the entry is to be begun anew.
  return 1
end
go_on_when_full(wake)
local at = clock()
if claim ~= '' then
  if string.sub(claim, 1, #worker) ~= worker then
    return 0
  end
  redis.call('HSET', frame, 'lease', text(at + seconds))
end
local score = math.max(at, tonumber(found[4])) + seconds
redis.call('ZADD', wake, text(math.min(score, deadline or score)), member)
return 1
