-- Renews the lease of a running call.
-- KEYS execution frame wake
-- ARGS ref id incarnation frame token worker lease_seconds
-- REPLY renewed
-- REPLY stale
local frame, wake = KEYS[2], KEYS[3]
local execution = find_execution(KEYS[1])
local found = read(frame, 'token', 'claim', 'deadline')
-- After continuing inline with the next step, a worker still knows its message by the original token.
local is_same = found.token == args.token
  or string.sub(found.token or '', 1, #args.token + 1) == args.token .. '+'
if not execution or not execution.is_running or not is_same then
  return reply('stale')
end
if found.claim == '' then
  -- No call is claimed: the step makes none, or Redis has lost the claim and the sweep starts the entry again.
  return reply('renewed')
end
if string.sub(found.claim, 1, #args.worker) ~= args.worker then
  return reply('stale')
end
allow_when_full(wake)
local lease, deadline = clock() + args.lease_seconds, tonumber(found.deadline or '')
redis.call('HSET', frame, 'lease', text(lease))
redis.call('ZADD', wake, text(math.min(lease, deadline or lease)), member(args.frame))
return reply('renewed')
