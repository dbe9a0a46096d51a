-- Asks whether a message may act, and leases the call that it brings. Called by Store.claim.
-- KEYS 1 execution (hash)  2 frame (hash)  3 history (list)  4 wake-ups (zset)  5 parent's frame (hash; the frame itself for the root)
-- ARGV 1 clock  2 member  3 token  4 nonce  5 lease, s  6 latest layout of states that the caller reads
-- Replies {'stale'}, {'held'}, {'early', seconds left}, {'unreadable', layout} or
--   {'claimed', kind, state, starts, how many of the calls before do not count as lost, deadline, total, made, ended, parent's token, parent's hint, moment, fields of the execution...}.
local member, token, nonce, seconds, layout = take(), take(), take(), tonumber(take()), tonumber(take())
local execution, frame, history, wake = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local found = redis.call('HMGET', frame, 'token', 'kind', 'due', 'claim', 'lease', 'deadline', 'state')
if found[1] ~= token or found[2] == 'report' or not is_running(execution) then
  return {'stale'}
end
local at = moment_of(execution)
if tonumber(found[3]) > at then
  return {'early', text(tonumber(found[3]) - at)}
end
-- Whoever cannot read the state leaves the call alone, uncounted: `dump_state` begins with the layout.
local written = tonumber(string.match(found[7], '^{"v":(%d+),') or '-1')
if written > layout then
  return {'unreadable', written}
end
if found[2] == 'call' and found[4] ~= nonce then
  -- Leases are measured by the clock as it is, since `vouch` does, even while the execution's own moment is ahead of it.
  local now = clock()
  if (found[4] ~= '' and tonumber(found[5]) > now) or (found[6] and tonumber(found[6]) <= now) then
    return {'held'}
  end
  lease_call(execution, frame, history, wake, member, at, nonce, seconds)
elseif found[2] == 'children' then
  -- Tokens stay while children are joined: what a claim of a second that Redis has lost has read must not be committed.
  redis.call('HSET', frame, 'called', '0', 'joiner', nonce)
end
local now_is = redis.call('HMGET', frame, 'starts', 'excused', 'deadline', 'total', 'made', 'ended')
local parent = redis.call('HMGET', KEYS[5], 'token', 'hint')
local about = redis.call('HMGET', execution, 'flow', 'name', 'id', 'digest', 'started_at', 'secret', 'events')
return {'claimed', found[2], found[7], now_is[1], now_is[2] or '', now_is[3] or '', now_is[4] or '',
  now_is[5] or '', now_is[6] or '', parent[1] or '', parent[2] or '', text(at), unpack(about)}
