-- Follows the prelude in the scripts that are run for many streams: a damaged one is reported, and does not stop the others.

local STATES = { active = true, complete = true, failed = true, stopped = true, interrupted = true }

local function is_count(text) return text and #text <= 15 and string.find(text, '^%d+$') end

-- The field of a record that no script can have written like this, if there is one.
local function flaw(record)
  if not exists(record) then return nil end
  for _, name in ipairs({ 'o', 'b', 'q', 'n', 'y', 'c', 'u', 't', 'ta', 'td' }) do
    if not is_count(record[name]) then return name end
  end
  if not string.find(record.z or '', '^%-?%d+$') or record.n - record.z < 0 then return 'z' end
  if not string.find(record.g or '', '^%w+$') then return 'g' end
  if not STATES[record.s] then return 's' end
  if not record.r then return 'r' end
  if record.pg then
    for _, name in ipairs({ 'po', 'pb', 'py' }) do
      if not is_count(record[name]) then return name end
    end
  end
  if record.h and record.h ~= '0' then
    local hot = parse(record['p:' .. (record.hp or '')] or '')
    if #record.h > 16 or not string.find(record.h, '^%d+$') or not hot then return 'h' end
  end
end

-- The record, and what is wrong with it, if anything is.
local function inspect()
  local flat, record = redis.pcall('HGETALL', META), {}
  if flat.err then
    -- Somebody else's key. Whatever else goes wrong is no fault of the record.
    if not string.find(flat.err, 'WRONGTYPE', 1, true) then redis.call('HGETALL', META) end
    return {}, flat.err
  end
  for i = 1, #flat, 2 do record[flat[i]] = flat[i + 1] end
  local wrong = flaw(record)
  if wrong then return record, 'its field ' .. wrong .. ' makes no sense' end
  return fold(record)
end
