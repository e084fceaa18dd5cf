-- Takes streams from an index shard that were found to be gone, unless they have been entered again since their entries
-- were looked at.
--
-- KEYS[1] index shard   ARGV[1] stream id   ARGV[2] the score of its entry when that was looked at   and so on, two for each
-- Reply: 1
for i = 1, #ARGV, 2 do
  local score = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if score and tonumber(score) == tonumber(ARGV[i + 1]) then redis.call('ZREM', KEYS[1], ARGV[i]) end
end
return 1
