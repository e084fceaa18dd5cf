-- Follows the prelude in the scripts for groups that work on a stream's chunks.
--
-- KEYS[5] groups, a hash: group -> "<ordinal>-<seq>" of the last chunk that was added to its work
-- KEYS[6] work, a stream: <ordinal>-<seq> of each chunk that is handed out and not done; two consumer groups
local GROUPS, WORK = KEYS[5], KEYS[6]

local function admitted()
  return allowed(redis.call('HGET', META, 'w'), ARGV[4])
end

local function discard(id) redis.call('XDEL', WORK, id) end

local generations
local function describe(items, id, deliveries)
  if not generations then
    local found = redis.call('HMGET', META, 'g', 'o', 'pg', 'po')
    generations = { [found[2] or ''] = found[1], [found[4] or ''] = found[3] }
  end
  local ordinal, seq = string.match(id, '^(%d+)-(%d+)$')
  local generation = generations[ordinal]
  if generation then items[#items + 1] = { id, int(deliveries), generation .. '.' .. seq } end
end
