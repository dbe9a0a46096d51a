-- Decides whether a message may act, and leases the call that it starts.
-- KEYS execution frame history wake
-- ARGS ref id incarnation frame token nonce lease_seconds layout
-- REPLY stale
-- REPLY leased
-- REPLY early seconds
-- REPLY unreadable layout
-- REPLY claimed kind layout state starts not_counted reason refused_at deadline total made ended parent_token parent_metadata at flow name digest started_at secret events
local frame, history, wake = KEYS[2], KEYS[3], KEYS[4]
local execution = find_execution(KEYS[1])
local found = read(frame, 'token', 'kind', 'due', 'claim', 'lease', 'deadline', 'layout', 'reason')
if not execution or not execution.is_running or found.token ~= args.token or found.kind == 'report' then
  return reply('stale')
end
local now = clock()
if tonumber(found.due) > now then
  return reply('early', {seconds = text(tonumber(found.due) - now)})
end
-- A worker of an earlier release leaves the entry as it is, uncounted.
if tonumber(found.layout) > args.layout then
  return reply('unreadable', {layout = found.layout})
end
if found.kind == 'call' and found.claim ~= args.nonce then
  local is_leased = found.claim ~= '' and tonumber(found.lease) > now
  if is_leased or (found.deadline and tonumber(found.deadline) <= now) then
    return reply('leased')
  end
  lease_call(execution, frame, args.frame, history, wake, args.nonce, now)
elseif found.kind == 'children' then
  -- The token stays while children run. After this claim, no earlier one may commit: Redis may have lost what it read.
  redis.call('HSET', frame, 'notified', '0', 'join_nonce', args.nonce)
end
local answer = read(frame, 'kind', 'layout', 'state', 'starts', 'not_counted', 'refused_at', 'deadline', 'total', 'made',
  'ended', 'parent_token', 'parent_metadata')
answer.reason = found.reason
for name, value in pairs(read(KEYS[1], 'flow', 'name', 'digest', 'started_at', 'secret', 'events')) do
  answer[name] = value
end
answer.at = text(now)
return reply('claimed', answer)
