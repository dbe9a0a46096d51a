-- Replaces the oldest events of a history by the block that they were compacted to.
-- KEYS execution history blocks
-- ARGS ref id incarnation compacted count block
-- REPLY done
-- REPLY stale
local execution, history, blocks = KEYS[1], KEYS[2], KEYS[3]
if not find_execution(execution) or tonumber(redis.call('HGET', execution, 'compacted') or '0') ~= args.compacted
  or redis.call('LLEN', history) < args.count then
  return reply('stale')
end
redis.call('RPUSH', blocks, args.block)
redis.call('LTRIM', history, args.count, -1)
redis.call('HSET', execution, 'compacted', args.compacted + args.count)
return reply('done')
