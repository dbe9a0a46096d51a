-- Functions that several scripts use. The loader prepends this file to every script.
--
-- ARGV[1] is the clock: `+0` in production; tests shift it (`+SECONDS`) or freeze it (`=EPOCH_SECONDS`).
-- ARGV[2] is a JSON object: the arguments by name. A missing argument is nil.
-- The header of a script lists KEYS, ARGS and each REPLY; `store/commands/` has the same lists, and a test compares them.

local args = cjson.decode(ARGV[2])

-- Lua cannot pass more arguments than its stack holds.
local MAX_UNPACKED = 1000

local function text(seconds)
  return string.format('%.6f', seconds)
end

-- The current time by Redis' clock, in epoch seconds. Due times, leases and deadlines use this.
local function clock()
  local seconds = tonumber(string.sub(ARGV[1], 2))
  if string.sub(ARGV[1], 1, 1) == '=' then
    return seconds
  end
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1000000 + seconds
end

-- A reply: its name, then name and value of each field. A field that is nil is left out.
local function reply(name, fields)
  local flat = {name}
  for field, value in pairs(fields or {}) do
    flat[#flat + 1] = field
    flat[#flat + 1] = value
  end
  return flat
end

-- A hash's fields as a table; fields that are missing are nil.
local function read(key, ...)
  local found = redis.call('HMGET', key, ...)
  local fields = {}
  for index, name in ipairs({...}) do
    fields[name] = found[index] or nil
  end
  return fields
end

-- The member of the wake-up index for a frame, or for a maintenance job (`!NAME`), of the execution in the arguments.
local function member(name)
  return args.ref .. '|' .. args.id .. '.' .. args.incarnation .. '|' .. name
end

-- The execution that the arguments name, or nil: none, another one, or another incarnation is stored under its key.
local function find_execution(key)
  local found = read(key, 'id', 'incarnation', 'status', 'at', 'events')
  if found.id ~= args.id or tonumber(found.incarnation) ~= args.incarnation then
    return nil
  end
  return {
    key = key,
    status = found.status,
    is_running = found.status == 'Running',
    at = tonumber(found.at),
    events = tonumber(found.events),
  }
end

-- Redis at its memory limit refuses a script whose first write needs memory. So a script that frees memory, or needs
-- no more of it, begins with a write that needs none: removing a member that does not exist.
local function allow_when_full(wake)
  redis.call('ZREM', wake, '')
end

-- Appends events. Each is caused by the one before it, the first by `cause`. Returns the number of the last one.
-- Only these times are monotonic within an execution, since a clock may go back in a failover.
local function append(execution, history, events, cause, now)
  execution.at = math.max(now, execution.at)
  local at = text(execution.at)
  for first = 1, #events, MAX_UNPACKED do
    local lines = {}
    for index = first, math.min(first + MAX_UNPACKED - 1, #events) do
      lines[#lines + 1] = '[' .. at .. ',' .. cause .. ',' .. events[index] .. ']'
      execution.events = execution.events + 1
      cause = execution.events
    end
    redis.call('RPUSH', history, unpack(lines))
  end
  redis.call('HSET', execution.key, 'events', execution.events, 'at', at)
  return cause
end

-- Stores the long values that events refer to, by digest.
local function keep_values(key)
  for digest, value in pairs(args.values) do
    redis.call('HSETNX', key, digest, value)
  end
end

-- Records who stopped or purged the execution of the arguments. `args.by` is nil where pollflow itself does it.
local function audit(log, operation, now, error)
  if args.by then
    redis.call('XADD', log, 'MAXLEN', '~', 10000, '*', 'operation', operation, 'at', text(now), 'ref', args.ref,
      'id', args.id, 'by', args.by, 'error', error or '')
  end
end

-- Publishes a message (queue, head, tail). Returns 1 if the broker is another server, so the caller has to publish it.
local function publish(queue, message, now)
  if not message then
    return 1
  end
  redis.call('LPUSH', queue, message.head .. text(now) .. message.tail)
  return 0
end

-- Returns nil if the message of an entry may be published now; otherwise when the sweep decides again. A worker holds
-- messages with a countdown in memory, so their number is limited. Waits beyond the look-ahead get only half of it: they
-- would occupy it for long, and make short waits late. The index has tokens, not names, since a purge leaves it as it is.
local function defer_until(countdowns, token, due, now)
  local limits, left = args.countdown_limits, due - now
  if left <= 0 then
    return nil
  end
  left = left - 0.001 -- scores are rounded
  if left > limits.longest then
    return due - limits.longest
  end
  local is_near = left <= limits.look_ahead
  local held = redis.call('ZCOUNT', countdowns, '(' .. text(now), '+inf')
  if held >= limits.number * (is_near and 1 or 0.5) then
    return is_near and due or due - limits.look_ahead
  end
  redis.call('ZADD', countdowns, text(due), token)
  redis.call('ZREMRANGEBYSCORE', countdowns, '-inf', text(now))
  redis.call('PEXPIRE', countdowns, math.ceil(limits.longest * 1000))
  return nil
end

-- Sets what a frame does next: its state, what it waits for, and its wake-up; publishes its message unless the wait is
-- left to the sweep. `next` is a NextEntry (store/commands/base.py). Returns 1 if the caller has to publish the message.
local function schedule_next(frame, name, wake, countdowns, queue, next, now, last)
  local due = next.at and math.max(now, next.at) or now + next.after
  -- An entry that is due at once stores 0: it is not early if the clock goes back.
  local stored_due = due > now and text(due) or '0'
  local has_message = next.kind == 'step' or next.kind == 'call'
  local deferred_until = has_message and defer_until(countdowns, next.token, due, now)
  local is_sent = has_message and not deferred_until
  redis.call('HDEL', frame, 'timeout', 'total', 'made', 'ended', 'max_concurrency', 'notified', 'join_nonce',
    'not_counted', 'reason', 'refused_at', 'losses', 'engine_errors')
  if next.kind ~= 'report' then
    redis.call('HDEL', frame, 'deadline')
  end
  redis.call('HSET', frame, 'token', next.token, 'layout', next.layout, 'state', next.state, 'kind', next.kind,
    'metadata', next.metadata, 'step', next.step, 'attempt', next.attempt, 'due', stored_due, 'claim', '', 'lease', '0',
    'starts', '0', 'sent', is_sent and '1' or '0', 'sent_at', text(now), 'since', text(now), 'last', last)
  if next.timeout then
    redis.call('HSET', frame, 'timeout', next.timeout)
  end
  local score = redis.call('HGET', frame, 'deadline')
  if is_sent then
    score = text(due + args.redelivery_timeout)
  elseif has_message then
    score = text(deferred_until)
  end
  if score then
    redis.call('ZADD', wake, score, member(name))
  else
    redis.call('ZREM', wake, member(name))
  end
  return is_sent and publish(queue, next.message, now) or 0
end

-- Leases the call that a frame is ready for: counts the start, appends TaskStarted, sets lease, deadline and wake-up.
local function lease_call(execution, frame, name, history, wake, nonce, now)
  local found = read(frame, 'starts', 'step', 'attempt', 'timeout', 'deadline', 'last')
  local starts = tonumber(found.starts) + 1
  local detail = string.format('{"attempt":%d,"start":%d}', found.attempt, starts)
  local event = '["TaskStarted",' .. cjson.encode(found.step) .. ',' .. detail .. ']'
  local last = append(execution, history, {event}, found.last, now)
  local lease = now + args.lease_seconds
  local deadline = tonumber(found.deadline or '')
  if not deadline and found.timeout then
    deadline = now + tonumber(found.timeout)
    redis.call('HSET', frame, 'deadline', text(deadline))
  end
  redis.call('HDEL', frame, 'reason')
  redis.call('HSET', frame, 'claim', nonce, 'lease', text(lease), 'since', text(now), 'starts', starts, 'last', last)
  redis.call('ZADD', wake, text(math.min(lease, deadline or lease)), member(name))
end

-- The guard of every commit, after the execution's identity: it runs, the frame holds the token, a call is committed by
-- its latest claimant (`nonce` is nil for events from outside the call: a report, a timeout), and a map step by the
-- latest claim that counted its children. A result or report (`is_result`) counts only until the deadline. Returns
-- `fresh`, `stale`, `late`, or `repeated` if the same commit was already made and its reply was lost. If the
-- entry was not claimed but `carried` by its message, `unclaimed`: it is not the stored one, or not due.
local function guard(execution, frame)
  if not execution or not execution.is_running then
    return 'stale'
  end
  local found = read(frame, 'token', 'claim', 'join_nonce', 'deadline')
  if args.next and found.token == args.next.token then
    return 'repeated'
  end
  if found.token ~= args.token or (args.nonce and found.claim ~= args.nonce) then
    return 'stale'
  end
  if args.join_nonce and found.join_nonce ~= args.join_nonce then
    return 'stale'
  end
  if args.is_result and found.deadline and tonumber(found.deadline) < tonumber(text(clock())) then
    return 'late'
  end
  local carried = args.carried
  if carried then
    local entry, facts = read(frame, 'state', 'due'), read(execution.key, 'digest', 'started_at')
    local is_stored = entry.state == carried.state and facts.digest == carried.digest
      and tonumber(facts.started_at) == tonumber(carried.started_at)
    if not is_stored or tonumber(entry.due) > clock() then
      return 'unclaimed'
    end
  end
  return 'fresh'
end
