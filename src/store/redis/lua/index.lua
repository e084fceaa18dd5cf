-- Enters a stream into its index shard, or makes its entry longer or shorter.
--
-- KEYS[1] index shard   ARGV[1] stream id   ARGV[2] how much longer something can be left, in ms   ARGV[3] the generation's tag
-- ARGV[4] '1': the generation has ended
-- Reply: 1
return enter_index(KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1') or 1
