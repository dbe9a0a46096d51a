-- Deletes an execution that has ended and has no frames left.
-- KEYS execution history values blocks frames cancellations parents outbox wake index flow_index status_index status_flow_index audit
-- ARGS ref id incarnation by
-- REPLY stale
-- REPLY done
local wake = KEYS[9]
local execution = find_execution(KEYS[1])
if not execution or execution.is_running or redis.call('SCARD', KEYS[5]) > 0 then
  return reply('stale')
end
redis.call('UNLINK', unpack(KEYS, 1, 8))
for _, job in ipairs({'deadline', 'notify', 'orphan', 'outbox', 'cleanup', 'purge'}) do
  redis.call('ZREM', wake, member('!' .. job))
end
for index = 10, 13 do
  redis.call('ZREM', KEYS[index], args.ref)
end
audit(KEYS[14], 'purge', clock())
return reply('done')
