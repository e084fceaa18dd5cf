-- Removes streams from an index shard that no longer exist, unless their entries have been renewed since they were read.
--
-- KEYS[1] index shard   ARGV[1] stream id   ARGV[2] the score of its entry when it was read   and so on, two for each stream
-- Reply: 1
for i = 1, #ARGV, 2 do
  local score = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if score and tonumber(score) == tonumber(ARGV[i + 1]) then redis.call('ZREM', KEYS[1], ARGV[i]) end
end
return 1
