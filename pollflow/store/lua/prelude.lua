-- Put in front of every script by the loader. What more than one script needs, and nothing else.
-- ARGV[1] is always the clock (clock.py): `+0`, but where tests shift it (`+SECONDS`) or freeze it (`=MOMENT`).

local cursor = 0

-- The next argument.
local function take()
  cursor = cursor + 1
  return ARGV[cursor]
end

local clock_is = take()

local function text(moment)
  return string.format('%.6f', moment)
end

-- Redis' clock, in epoch seconds.
local function clock()
  local given = tonumber(string.sub(clock_is, 2))
  if string.sub(clock_is, 1, 1) == '=' then
    return given
  end
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1000000 + given
end

-- The execution's own moment: never less than its last one, since a clock may go back in a failover.
local function moment_of(execution)
  local last = tonumber(redis.call('HGET', execution, 'at') or '0')
  return math.max(clock(), last)
end

-- Redis at its memory limit refuses a script only at its first write, if that write needs memory. So a script that lets
-- nothing grow, or that what makes room depends on, begins with a write that needs none: removing what is not there.
local function go_on_when_full(wake)
  redis.call('ZREM', wake, '')
end

local function is_running(execution)
  return redis.call('HGET', execution, 'status') == 'Running'
end

-- Appends events. Takes the count of the long values that they refer to, digest and text of each, the count of events,
-- the events. Each is caused by the one before it, the first by `cause`. Answers the number of the last one.
local function append(execution, history, values, at, cause)
  for _ = 1, tonumber(take()) do
    redis.call('HSETNX', values, take(), take())
  end
  local number = tonumber(redis.call('HGET', execution, 'events') or '0')
  for _ = 1, tonumber(take()) do
    redis.call('RPUSH', history, '[' .. text(at) .. ',' .. cause .. ',' .. take() .. ']')
    number = number + 1
    cause = number
  end
  redis.call('HSET', execution, 'events', number, 'at', text(at))
  return cause
end

-- Takes an envelope (head, tail) from the arguments; puts it on the queue with the moment between the two if asked to.
local function post(queue, at, wanted)
  local head, tail = take(), take()
  if wanted and head ~= '' then
    redis.call('LPUSH', queue, head .. text(at) .. tail)
  end
end

-- Writes a frame's state and what it waits for, and sets its wake-up.
-- Takes: token, state, kind (step|call|report|children), hint, started (the TaskStarted event up to the count of
-- starts), after, at ('' or epoch seconds), timeout ('' or seconds), horizon, grace, head, tail.
-- Answers 1 if a message is due now that the script has not published (the broker is elsewhere).
local function settle(frame, wake, member, queue, at, last)
  local token, state, kind, hint, started = take(), take(), take(), take(), take()
  local after, fixed, timeout = tonumber(take()), take(), take()
  local horizon, grace = tonumber(take()), tonumber(take())
  local due = at + after
  if fixed ~= '' then
    due = math.max(at, tonumber(fixed))
  end
  local sends = (kind == 'step' or kind == 'call') and due - at <= horizon
  local elsewhere = cursor < #ARGV and ARGV[cursor + 1] == ''
  post(queue, at, sends)
  redis.call('HSET', frame, 'token', token, 'state', state, 'kind', kind, 'hint', hint, 'started', started,
    'due', text(due), 'timeout', timeout, 'claim', '', 'lease', '0', 'starts', '0',
    'sent', sends and '1' or '0', 'sent_at', text(at), 'last', last)
  redis.call('HDEL', frame, 'total', 'made', 'ended', 'width', 'called', 'joiner', 'excused', 'returned')
  if kind ~= 'report' then
    redis.call('HDEL', frame, 'deadline')
  end
  local score = redis.call('HGET', frame, 'deadline')
  if sends then
    score = text(due + grace)
  elseif kind == 'step' or kind == 'call' then
    score = text(due - horizon)
  end
  if score then
    redis.call('ZADD', wake, score, member)
  else
    redis.call('ZREM', wake, member)
  end
  return (sends and elsewhere) and 1 or 0
end

-- Leases the call that a frame is ready for: counts the start, notes it, sets lease, deadline and wake-up.
-- Answers the number of starts.
local function lease_call(execution, frame, history, wake, member, at, nonce, seconds)
  local found = redis.call('HMGET', frame, 'starts', 'started', 'timeout', 'deadline', 'last')
  local starts = tonumber(found[1]) + 1
  local number = redis.call('HINCRBY', execution, 'events', 1)
  redis.call('RPUSH', history, '[' .. text(at) .. ',' .. found[5] .. ',' .. found[2] .. starts .. '}]')
  redis.call('HSET', execution, 'at', text(at))
  local lease = clock() + seconds
  local deadline = tonumber(found[4] or '')
  if not deadline and found[3] ~= '' then
    deadline = clock() + tonumber(found[3])
    redis.call('HSET', frame, 'deadline', text(deadline))
  end
  redis.call('HSET', frame, 'claim', nonce, 'lease', text(lease), 'starts', starts, 'last', number)
  redis.call('ZADD', wake, text(math.min(lease, deadline or lease)), member)
  return starts
end

-- The guard of every commit: the execution runs, the frame holds the token, and a call that was claimed is committed by
-- its claimant ('*' for what comes from outside the call: a report, a time-out).
-- Answers 'fresh', 'stale', or 'again' when this very commit was made before (its reply was lost).
local function guard(execution, frame, token, nonce, next_token)
  if not is_running(execution) then
    return 'stale'
  end
  local found = redis.call('HMGET', frame, 'token', 'claim')
  if found[1] == next_token then
    return 'again'
  end
  if found[1] ~= token or (nonce ~= '*' and found[2] ~= nonce) then
    return 'stale'
  end
  return 'fresh'
end

-- Whether a frame that joins its children has been claimed since by another nonce than `joiner` ('' if it does not join).
local function is_overtaken(frame, joiner)
  return joiner ~= '' and redis.call('HGET', frame, 'joiner') ~= joiner
end
