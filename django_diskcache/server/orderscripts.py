"""What runs on the server for deques and indexes, as one step each.

A deque is a list. Beside it is its *shift*: how many more values have left it at the front
than were added there. A value's index and the shift together are its position, which stays the
same while others add and take at the ends; so an iteration finds its place again. No value is
empty, so an empty one marks a place for a moment.

An index is a hash of values by key, a sorted set of the same keys by the number of their
insertion, and a set, sorted by the keys themselves, of those that are places in a queue. A
server that evicts may take one of these without the others. An index whose values or whose
order is gone is as good as evicted: it is empty, and the rest goes with the first change. A
place in a queue that is missing comes back when it is found taken. Of a deque, a shift that is
gone lets an iteration that is on its way lose its place.

A script is not undone when a command in it fails. On a full server only the first command that
writes can fail; so each script writes first what needs memory, or what gives some back.
"""

from __future__ import annotations

from typing import Final

from .scripts import Script

# KEYS: all of a collection. ARGV: the command that counts its values. Returns how many went.
CLEAR: Final = Script(
    """
local size = redis.call(ARGV[1], KEYS[1])
redis.call('UNLINK', unpack(KEYS))
return size
"""
)

# Of a deque. KEYS: the list, its shift.

# ARGV: 'back' or 'front', the most values or '', values. Each that is added to a full one drops
# one at the other end; a longer one, which somebody without a limit has made, stays longer.
PUSH: Final = Script(
    """
local call, most = redis.call, tonumber(ARGV[2])
local back, count = ARGV[1] == 'back', #ARGV - 2
local size = call(back and 'RPUSH' or 'LPUSH', KEYS[1], unpack(ARGV, 3))
local over = 0
if most then over = math.max(0, math.min(size - most, count)) end
if back then
  if over > 0 then
    call('LTRIM', KEYS[1], over, -1)
    call('INCRBY', KEYS[2], over)
  end
else
  if over > 0 then call('LTRIM', KEYS[1], 0, -over - 1) end
  call('DECRBY', KEYS[2], count)
end
return size - over
"""
)

# ARGV: 'back' or 'front'. Returns what it takes there.
TAKE: Final = Script(
    """
if ARGV[1] == 'back' then return redis.call('RPOP', KEYS[1]) end
local value = redis.call('LPOP', KEYS[1])
if value then redis.call('INCR', KEYS[2]) end
return value
"""
)

# ARGV: the most values. Drops what is more at the front.
TRIM: Final = Script(
    """
local over = redis.call('LLEN', KEYS[1]) - tonumber(ARGV[1])
if over <= 0 then return 0 end
redis.call('LTRIM', KEYS[1], over, -1)
redis.call('INCRBY', KEYS[2], over)
return over
"""
)

# ARGV: a position or '', how many, '1' for backwards. Returns the position to go on at, and
# values from there on, or up to there. One that is not there any more is the end nearest to it.
SLICE: Final = Script(
    """
local shift = tonumber(redis.call('GET', KEYS[2]) or '0')
local size, count = redis.call('LLEN', KEYS[1]), tonumber(ARGV[2])
local place = tonumber(ARGV[1])
if ARGV[3] == '1' then
  local last = size - 1
  if place then last = math.min(last, place - shift) end
  if last < 0 then return {'', {}} end
  local first = math.max(0, last - count + 1)
  local found = redis.call('LRANGE', KEYS[1], first, last)
  return {string.format('%.0f', first + shift - 1), found}
end
local first = 0
if place then first = math.max(0, place - shift) end
local found = redis.call('LRANGE', KEYS[1], first, first + count - 1)
return {string.format('%.0f', first + shift + #found), found}
"""
)

# ARGV: an index, a value. Returns whether there is one with this index.
PUT_AT: Final = Script(
    """
local size, index = redis.call('LLEN', KEYS[1]), tonumber(ARGV[1])
if index >= size or index < -size then return 0 end
redis.call('LSET', KEYS[1], ARGV[1], ARGV[2])
return 1
"""
)

# ARGV: an index. Returns whether there was one with it. What comes before it gets another
# position: who iterates behind it, as one does who removes what he sees, misses nothing. The
# last value is taken and put back, so that a full server lets the place be marked.
REMOVE_AT: Final = Script(
    """
local call, size, index = redis.call, redis.call('LLEN', KEYS[1]), tonumber(ARGV[1])
if index < 0 then index = index + size end
if index >= size or index < 0 then return 0 end
if index == size - 1 then
  call('RPOP', KEYS[1])
  return 1
end
if index == 0 then
  call('LPOP', KEYS[1])
else
  call('RPUSH', KEYS[1], call('RPOP', KEYS[1]))
  call('LSET', KEYS[1], index, '')
  call('LREM', KEYS[1], 1, '')
end
call('INCR', KEYS[2])
return 1
"""
)

# ARGV: a value. Removes the first that is the same; returns whether there was one.
REMOVE: Final = Script(
    """
local gone = redis.call('LREM', KEYS[1], 1, ARGV[1])
if gone > 0 then redis.call('INCR', KEYS[2]) end
return gone
"""
)

# ARGV: an index, a value, the most values or ''. Returns whether there was room.
INSERT: Final = Script(
    """
local call, size, index = redis.call, redis.call('LLEN', KEYS[1]), tonumber(ARGV[1])
local most = tonumber(ARGV[3])
if most and size >= most then return 0 end
if index < 0 then index = math.max(index + size, 0) end
if index >= size then
  call('RPUSH', KEYS[1], ARGV[2])
elseif index == 0 then
  call('LPUSH', KEYS[1], ARGV[2])
  call('DECR', KEYS[2])
else
  local old = call('LINDEX', KEYS[1], index)
  call('LSET', KEYS[1], index, '')
  call('LINSERT', KEYS[1], 'BEFORE', '', ARGV[2])
  call('LSET', KEYS[1], index + 1, old)
end
return 1
"""
)

# ARGV: how many steps from the back to the front; less than 0 is the other way.
ROTATE: Final = Script(
    """
local call, size = redis.call, redis.call('LLEN', KEYS[1])
if size < 2 then return 0 end
local steps = tonumber(ARGV[1]) % size
local take, give, left = 'RPOP', 'LPUSH', steps
if steps > size / 2 then take, give, left = 'LPOP', 'RPUSH', size - steps end
local moved = left
while left > 0 do
  local some = call(take, KEYS[1], math.min(left, 1000))
  call(give, KEYS[1], unpack(some))
  left = left - #some
end
if moved > 0 then call(take == 'LPOP' and 'INCRBY' or 'DECRBY', KEYS[2], moved) end
return moved
"""
)

# The other list is in the same slot, and there only while this runs.
REVERSE: Final = Script(
    """
local call, turned = redis.call, KEYS[1] .. '~'
local some = call('RPOP', KEYS[1], 1000)
if not some then return 0 end
while some do
  call('RPUSH', turned, unpack(some))
  some = call('RPOP', KEYS[1], 1000)
end
call('RENAME', turned, KEYS[1])
return 1
"""
)

# ARGV: how many times, the most values or ''.
REPEAT: Final = Script(
    """
local call, times, most = redis.call, tonumber(ARGV[1]), tonumber(ARGV[2])
local size = call('LLEN', KEYS[1])
if times <= 0 then return call('UNLINK', KEYS[1], KEYS[2]) end
for _ = 2, times do
  for first = 0, size - 1, 1000 do
    local last = math.min(first + 999, size - 1)
    call('RPUSH', KEYS[1], unpack(call('LRANGE', KEYS[1], first, last)))
  end
end
local over = 0
if most then over = math.min(size * times - most, size * (times - 1)) end
if over > 0 then
  call('LTRIM', KEYS[1], over, -1)
  call('INCRBY', KEYS[2], over)
end
return size * times
"""
)

# Of an index. KEYS: the hash, the order, the places in queues.

PARTS = """
local call = redis.call
local function whole()
  return call('EXISTS', KEYS[1]) == call('EXISTS', KEYS[2])
end
"""

# Before any change.
_MEND = """
if not whole() then call('UNLINK', unpack(KEYS)) end
"""

_DROP = (
    PARTS
    + """
local function drop(key)
  call('HDEL', KEYS[1], key)
  call('ZREM', KEYS[2], key)
  call('ZREM', KEYS[3], key)
end
"""
)

# Returns how many items there are.
LENGTH: Final = Script(
    PARTS
    + """
return whole() and call('HLEN', KEYS[1]) or 0
"""
)

# ARGV: 'NX' to leave alone what is there, or ''; keys, each with its value and '1' where it is
# a place in a queue.
_STORE = (
    PARTS
    + _MEND
    + """
local stored = NONE
for i = 2, #ARGV, 3 do
  local key, there = ARGV[i], 0
  if ARGV[1] == 'NX' then there = call('HEXISTS', KEYS[1], key) end
  if there == 0 then
    if call('HSET', KEYS[1], key, ARGV[i + 1]) == 1 then
      local last = call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
      call('ZADD', KEYS[2], last and last + 1 or 0, key)
      if ARGV[i + 2] == '1' then call('ZADD', KEYS[3], 0, key) end
    end
    COUNT
  elseif ARGV[i + 2] == '1' then
    call('ZADD', KEYS[3], 0, key)
  end
end
return stored
"""
)


def _storing(none: str, count: str) -> Script:
    return Script(_STORE.replace("NONE", none).replace("COUNT", count))


# Returns how many were stored.
STORE: Final = _storing("0", "stored = stored + 1")

# Returns which were stored: 1 is the first.
STORED: Final = _storing("{}", "stored[#stored + 1] = (i + 1) / 3")

# ARGV: a key. Returns the value that it had.
REMOVE_KEY: Final = Script(
    _DROP
    + _MEND
    + """
local value = call('HGET', KEYS[1], ARGV[1])
if value then drop(ARGV[1]) end
return value
"""
)

# ARGV: a key, the value that it must have to be removed, or '' for none.
REFUSE_KEY: Final = Script(
    _DROP
    + _MEND
    + """
if (call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
drop(ARGV[1])
return 1
"""
)

# ARGV: '1' for the last, else the first; '1' to remove it. Returns key and value.
END: Final = Script(
    _DROP
    + """
if not whole() then
  if ARGV[2] == '1' then call('UNLINK', unpack(KEYS)) end
  return false
end
local key = call(ARGV[1] == '1' and 'ZREVRANGE' or 'ZRANGE', KEYS[2], 0, 0)[1]
if not key then return false end
local value = call('HGET', KEYS[1], key)
if ARGV[2] == '1' then drop(key) end
return {key, value}
"""
)

# ARGV: the least and the greatest place, as members of a queue; '1' for the last. Returns key
# and value, which it removes.
PULL: Final = Script(
    _DROP
    + _MEND
    + """
local key
if ARGV[3] == '1' then
  key = call('ZREVRANGEBYLEX', KEYS[3], ARGV[2], ARGV[1], 'LIMIT', 0, 1)[1]
else
  key = call('ZRANGEBYLEX', KEYS[3], ARGV[1], ARGV[2], 'LIMIT', 0, 1)[1]
end
if not key then return false end
local value = call('HGET', KEYS[1], key)
drop(key)
return {key, value}
"""
)

# ARGV: a key, '1' to make it the last, else the first. Returns whether it is there.
MOVE: Final = Script(
    PARTS
    + _MEND
    + """
local last = ARGV[2] == '1'
if not call('ZSCORE', KEYS[2], ARGV[1]) then return 0 end
local found = call(last and 'ZREVRANGE' or 'ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
call('ZADD', KEYS[2], found[2] + (last and 1 or -1), ARGV[1])
return 1
"""
)

# ARGV: from which number and to which, as the server takes them; how many; '1' for backwards;
# '1' for values as well. Returns the first number and the last of all, those of the keys, the
# keys, and the values.
PAGE: Final = Script(
    PARTS
    + """
local first = whole() and call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
if not first then return {'', '', {}, {}, {}} end
local last = call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
local found
if ARGV[4] == '1' then
  found = call('ZREVRANGEBYSCORE', KEYS[2], ARGV[2], ARGV[1], 'WITHSCORES', 'LIMIT', 0, ARGV[3])
else
  found = call('ZRANGEBYSCORE', KEYS[2], ARGV[1], ARGV[2], 'WITHSCORES', 'LIMIT', 0, ARGV[3])
end
local keys, numbers, values = {}, {}, {}
for i = 1, #found, 2 do
  keys[#keys + 1] = found[i]
  numbers[#numbers + 1] = found[i + 1]
end
if ARGV[5] == '1' and #keys > 0 then values = call('HMGET', KEYS[1], unpack(keys)) end
return {first, last, numbers, keys, values}
"""
)
