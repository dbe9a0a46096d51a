-- Replaces stored texts by others with the same content, under another key. A text that a commit has changed since it
-- was read stays as it is: a change has the text before and after. `is_list`: the target is a list, and names are indexes.
-- KEYS execution target
-- ARGS ref id incarnation is_list changes
-- REPLY stale
-- REPLY done count
local target = KEYS[2]
if not find_execution(KEYS[1]) then
  return reply('stale')
end
local count = 0
for _, change in ipairs(args.changes) do
  if redis.call(args.is_list and 'LINDEX' or 'HGET', target, change.name) == change.before then
    redis.call(args.is_list and 'LSET' or 'HSET', target, change.name, change.after)
    if change.layout then
      redis.call('HSET', target, 'layout', change.layout)
    end
    count = count + 1
  end
end
return reply('done', {count = count})
