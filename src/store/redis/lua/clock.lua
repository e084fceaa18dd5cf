-- Begins the scripts that work on no stream.
if redis.replicate_commands then redis.replicate_commands() end

local time = redis.call('TIME')
local NOW = time[1] * 1000 + math.floor(time[2] / 1000)

local function int(number) return string.format('%.0f', number) end

