-- Counts an error of a maintenance job of an execution, and makes the job due again after a pause that doubles.
-- KEYS execution wake
-- ARGS ref id incarnation job redelivery_timeout max_redelivery_timeout
-- REPLY stale
-- REPLY counted count
local wake = KEYS[2]
local execution = find_execution(KEYS[1])
if not execution then
  return reply('stale')
end
local count = redis.call('HINCRBY', execution.key, 'job_errors', 1)
local pause = math.min(args.redelivery_timeout * 2 ^ (count - 1), args.max_redelivery_timeout)
redis.call('ZADD', wake, 'XX', text(clock() + pause), member('!' .. args.job))
return reply('counted', {count = count})
