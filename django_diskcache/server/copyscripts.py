"""What runs on the server when deques and indexes are copied, as one step each.

A deque is filled beside itself, under a name that ends by itself should nobody go on, and takes
its place in one step. [`orderscripts`] says what its keys are.
"""

from __future__ import annotations

from typing import Final

from .orderscripts import PARTS
from .scripts import Script

# Of a deque. KEYS: the list, its shift.

# ARGV: a position or '' for the front, the position behind the last value or '' for all, the
# most values, bytes after which none follow. Returns the position to go on at, the one behind
# the last, and values. How many are read at a time goes by those that were: so a single large
# one is the most that comes too much.
LISTED: Final = Script(
    """
local call = redis.call
local shift = tonumber(call('GET', KEYS[2]) or '0')
local first, stop = 0, call('LLEN', KEYS[1])
if ARGV[1] ~= '' then first = math.max(0, tonumber(ARGV[1]) - shift) end
if ARGV[2] ~= '' then stop = math.min(stop, tonumber(ARGV[2]) - shift) end
local last = math.min(stop, first + tonumber(ARGV[3]))
local most, bytes, found, step = tonumber(ARGV[4]), 0, {}, 1
while first < last and bytes < most do
  local some = call('LRANGE', KEYS[1], first, math.min(last, first + step) - 1)
  for _, value in ipairs(some) do
    found[#found + 1] = value
    bytes = bytes + #value
  end
  first = first + #some
  step = math.max(1, math.min(step * 2, math.floor((most - bytes) * #found / bytes)))
end
return {string.format('%.0f', first + shift), string.format('%.0f', stop + shift), found}
"""
)

# KEYS: the list, its shift, the one beside it. ARGV: milliseconds for which that is kept if
# nobody goes on, values to add to it. Returns how many it has.
STAGE: Final = Script(
    """
local size = redis.call('RPUSH', KEYS[3], unpack(ARGV, 2))
redis.call('PEXPIRE', KEYS[3], ARGV[1])
return size
"""
)

# KEYS: as of STAGE. ARGV: how many values that was given, 'NX' to leave a deque alone that has
# some. Returns 1, 0 if it was left alone, and -1 if some of those given are gone.
TAKE_PLACE: Final = Script(
    """
local call = redis.call
local whole = call('LLEN', KEYS[3]) == tonumber(ARGV[1])
if not whole or (ARGV[2] == 'NX' and call('EXISTS', KEYS[1]) == 1) then
  call('UNLINK', KEYS[3])
  return whole and 0 or -1
end
call('UNLINK', KEYS[1], KEYS[2])
call('RENAME', KEYS[3], KEYS[1])
call('PERSIST', KEYS[1])
return 1
"""
)

# Of an index. KEYS: the hash, the order, the places in queues.

# ARGV: from which number and to which, as the server takes them; the most items, bytes after
# which none follow. Returns the first number and the last of all, those of the items, their
# keys, and their values.
ITEMS: Final = Script(
    PARTS
    + """
local first = whole() and call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
if not first then return {'', '', {}, {}, {}} end
local last = call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
local found = call(
  'ZRANGEBYSCORE', KEYS[2], ARGV[1], ARGV[2], 'WITHSCORES', 'LIMIT', 0, ARGV[3]
)
local keys, numbers, bytes, most = {}, {}, 0, tonumber(ARGV[4])
for i = 1, #found, 2 do
  bytes = bytes + call('HSTRLEN', KEYS[1], found[i])
  if i > 1 and bytes > most then break end
  keys[#keys + 1] = found[i]
  numbers[#numbers + 1] = found[i + 1]
end
local values = {}
if #keys > 0 then values = call('HMGET', KEYS[1], unpack(keys)) end
return {first, last, numbers, keys, values}
"""
)
