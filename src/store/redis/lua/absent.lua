-- Which of many records are not there; the same of something else in the place of one.
--
-- KEYS meta of each
-- Reply: the numbers of those, from 1
local absent = {}
for n, key in ipairs(KEYS) do
  local length = redis.pcall('HLEN', key)
  if type(length) ~= 'number' or length == 0 then absent[#absent + 1] = n end
end
return absent
