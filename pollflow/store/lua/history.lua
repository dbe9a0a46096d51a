-- Reads a part of a history, in one go since packing moves events from the list into blocks. Called by Reading.history.
-- KEYS 1 execution (hash)  2 history (list)  3 blocks (list)
-- ARGV 1 clock  2 events to pass over  3 most to read  4 events in a block
-- Replies {number of the first event before the blocks', count of blocks, the blocks..., events after the last block...}.
local after, most, size = tonumber(take()), tonumber(take()), tonumber(take())
local packed = tonumber(redis.call('HGET', KEYS[1], 'packed') or '0')
local first, last = math.floor(after / size), math.floor((after + most - 1) / size)
local blocks = {}
if after < packed then
  blocks = redis.call('LRANGE', KEYS[3], first, math.min(last, packed / size - 1))
end
local events = {}
if after + most > packed then
  events = redis.call('LRANGE', KEYS[2], math.max(0, after - packed), after + most - packed - 1)
end
local reply = {#blocks > 0 and first * size or math.max(after, packed), #blocks}
for _, block in ipairs(blocks) do
  table.insert(reply, block)
end
for _, event in ipairs(events) do
  table.insert(reply, event)
end
return reply
