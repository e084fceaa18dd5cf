-- A producer is gone and has not ended its generation, while its node lives: nobody vouches for it any more. If all others
-- are dead too, the generation ends.
--
-- ARGV[4] producer
local record, id = load(), ARGV[4]
local text = record['p:' .. id]
local own = text and parse(text)
if record.s ~= 'active' or not own or own.lease == 0 then return 0 end
commit(record)
own.lease, own.node = math.min(own.lease, NOW), string.match(own.node, '^[^L]+')
put(id, own)
record['p:' .. id] = producer_text(own)
for field, other in pairs(record) do
  if is_producer(field) and other and lease_of(other) > NOW then return 0 end
end
if record.x then finish(record, 'stopped', record.x, id) else finish(record, 'interrupted', 'lease', id) end
return 0
