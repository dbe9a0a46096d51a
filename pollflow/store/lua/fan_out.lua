-- Commits a control step's next slice of children. The token stays while children are joined, so that their ends
-- can name it; what guards against doing a slice twice is the count of children made, and that nobody has looked since.
-- Called by Store.commit.
-- KEYS 1 execution (hash)  2 frame (hash)  3 history (list)  4 long values (hash)  5 wake-ups (zset)  6 queue (list)  7 frames (set)
--      8.. for each child: its frame (hash), the queue that its message goes to (list)
-- ARGV 1 clock  2 member  3 token  4 token while joining  5 total  6 children made so far  7 most at once
--      8 nonce of the claim that joins, or ''  9 events expected so far or ''  10 frame's state  11 hint  12 grace, s  13 events (see `append`)
--      14 head, tail of the frame's own message  15 for each child: its frame's name, member, events (see `append`), what `settle` takes
-- Replies {'stale'}, {'moved', events} or {'done', moment, unpublished ones among the children..., 1 if the frame's own is unpublished}.
local member, token, next_token, total, made, width = take(), take(), take(), tonumber(take()), tonumber(take()), tonumber(take())
local joiner, expected, state, hint, grace = take(), take(), take(), take(), tonumber(take())
local execution, frame, history, wake, queue, frames = KEYS[1], KEYS[2], KEYS[3], KEYS[5], KEYS[6], KEYS[7]
if guard(execution, frame, token, '*', '') == 'stale' then
  return {'stale'}
end
local found = redis.call('HMGET', frame, 'made', 'ended', 'last')
if is_overtaken(frame, joiner) or (token == next_token and tonumber(found[1] or '0') ~= made) then
  return {'stale'}
end
local events = redis.call('HGET', execution, 'events')
if expected ~= '' and events ~= expected then
  return {'moved', events}
end
local at = moment_of(execution)
local last = append(execution, history, KEYS[4], at, found[3])
local ended = token == next_token and tonumber(found[2]) or 0
local reached = made + math.floor((#KEYS - 7) / 2)
-- Children may have ended while this slice was decided: then there is something to do again, and nobody else says so.
local more = ended >= total or (reached < total and reached - ended < width)
local elsewhere = ARGV[cursor + 1] == ''
post(queue, at, more)
redis.call('HSET', frame, 'token', next_token, 'state', state, 'kind', 'children', 'hint', hint, 'due', text(at),
  'claim', '', 'made', reached, 'ended', ended, 'total', total, 'width', width, 'called', more and '1' or '0',
  'sent', more and '1' or '0', 'sent_at', text(at), 'last', last)
redis.call('HDEL', frame, 'returned')
if more then
  redis.call('ZADD', wake, text(at + grace), member)
else
  redis.call('ZREM', wake, member)
end
local reply = {'done', text(at)}
for index = 8, #KEYS, 2 do
  local name, child = take(), take()
  redis.call('SADD', frames, name)
  local ended_with = append(execution, history, KEYS[4], at, last)
  table.insert(reply, settle(KEYS[index], wake, child, KEYS[index + 1], at, ended_with))
end
table.insert(reply, (more and elsewhere) and 1 or 0)
return reply
