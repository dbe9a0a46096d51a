-- Reads a part of a history atomically, since compaction moves events from the list into blocks.
-- KEYS execution history blocks
-- ARGS ref id incarnation after limit block_size
-- REPLY gone
-- REPLY events first blocks events
local execution, history, blocks_key = KEYS[1], KEYS[2], KEYS[3]
if not find_execution(execution) then
  return reply('gone')
end
local after, limit, size = args.after, args.limit, args.block_size
local compacted = tonumber(redis.call('HGET', execution, 'compacted') or '0')
local first_block, last_block = math.floor(after / size), math.floor((after + limit - 1) / size)
local blocks, events = {}, {}
if after < compacted then
  blocks = redis.call('LRANGE', blocks_key, first_block, math.min(last_block, compacted / size - 1))
end
if after + limit > compacted then
  events = redis.call('LRANGE', history, math.max(0, after - compacted), after + limit - compacted - 1)
end
local first = #blocks > 0 and first_block * size or math.max(after, compacted)
return reply('events', {first = first, blocks = blocks, events = events})
