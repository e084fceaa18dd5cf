-- Follows the clock in the scripts that look at a reminder.

-- Redis may have evicted the times: a reminder that is not among them would never be due.
local function list(times, key, name)
  if redis.call('ZSCORE', times, name) then return end
  redis.call('ZADD', times, int(NOW), name)
  redis.call('PEXPIRE', times, int(math.max(redis.call('PTTL', times), redis.call('PTTL', key))))
end

