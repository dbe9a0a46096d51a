-- Notes that a step has given an execution up, so that it neither starts nor takes it any more. Called by Store.give_up.
-- KEYS 1 execution (hash)  2 who has given it up (set)  3 wake-ups (zset)
-- ARGV 1 clock  2 task token of the step  3 how long that is kept if the execution is not there, s
go_on_when_full(KEYS[3])
redis.call('SADD', KEYS[2], take())
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('PERSIST', KEYS[2])
else
  redis.call('EXPIRE', KEYS[2], take())
end
