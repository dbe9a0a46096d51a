-- Counts an error of the engine in an entry, and lets the sweep try the entry again after a pause that doubles.
-- `nonce` is that of the worker whose claim failed; a sweep or a report has none.
-- KEYS execution frame wake
-- ARGS ref id incarnation frame token nonce layout redelivery_timeout max_redelivery_timeout
-- REPLY stale
-- REPLY counted count
local frame, wake = KEYS[2], KEYS[3]
local execution = find_execution(KEYS[1])
local found = read(frame, 'token', 'kind', 'claim', 'lease', 'layout', 'deadline')
if not execution or not execution.is_running or not found.token or found.token ~= args.token
  or (tonumber(found.layout or '') or 0) > args.layout then
  return reply('stale')
end
local now = clock()
local is_own = args.nonce and found.claim == args.nonce
local is_leased = (found.claim or '') ~= '' and (tonumber(found.lease or '') or 0) > now
if args.nonce and is_leased and not is_own then
  return reply('stale')
end
local count = redis.call('HINCRBY', frame, 'engine_errors', 1)
if args.nonce then
  -- The message is used up, so that the next publication is the first one again.
  redis.call('HSET', frame, 'sent', '0')
end
if is_own and found.kind == 'call' then
  -- The function may have returned, so this is no crash.
  redis.call('HSET', frame, 'claim', '', 'lease', '0')
  redis.call('HINCRBY', frame, 'not_counted', 1)
end
local deadline = tonumber(found.deadline or '')
local next_try = now + math.min(args.redelivery_timeout * 2 ^ (count - 1), args.max_redelivery_timeout)
if deadline and deadline > now then
  next_try = found.kind == 'report' and deadline or math.min(next_try, deadline)
end
if deadline or found.kind ~= 'report' then
  redis.call('ZADD', wake, text(next_try), member(args.frame))
end
return reply('counted', {count = count})
