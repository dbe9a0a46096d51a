-- Notes that a step has given an execution up, so that it neither starts nor takes it any more. Called by Store.give_up.
-- KEYS 1 who has given it up (set)  2 wake-ups (zset)
-- ARGV 1 clock  2 task token of the step  3 how long that is kept, s
go_on_when_full(KEYS[2])
redis.call('SADD', KEYS[1], take())
return redis.call('EXPIRE', KEYS[1], take())
