"""What runs on the server, as one step each: all keys of a script lie in one slot of a cluster.

Numbers are given to commands as texts where they can be: Lua makes a text of a number slowly.

The first keys are entries or sets of hints of the same bucket, whose names begin alike. But on
one server, which has no slots, EVICT and TAGGED have keys of several buckets, LISTED of any.

A set of hints has the names of entries that had a tag when they were stored. It may name some
that have it no more, or are gone: the header of the entry is the truth. It may not lack one
that has the tag; so it ends no earlier than the last of them, and both are written in one step.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha1
from typing import Final

# The rest of the scripts is in this: offsets are those of `envelope.HEAD`, from 1 on. What is
# no entry of ours, whoever has put it there, has no tags; it is no error, which would end a
# script for all others.
_TAGS = """
local function tags_of(head)
  local found, place = {}, 14
  if #head < 13 then return found end
  local last = 13 + struct.unpack('<H', head, 12)
  while place < last and place < #head do
    local size = struct.unpack('<H', head, place)
    found[#found + 1] = string.sub(head, place + 2, place + 1 + size)
    place = place + 2 + size
  end
  return found
end
local function whole(key, head)
  if #head < 13 then return head end
  local all = 13 + struct.unpack('<H', head, 12)
  if all > #head then head = redis.call('GETRANGE', key, '0', all - 1) end
  return head
end
local function tagged(key)
  local head = redis.pcall('GETRANGE', key, '0', '255')
  if type(head) ~= 'string' then return {} end
  return tags_of(whole(key, head))
end
"""

# What is read on a connection that tracks, the server remembers until it is changed: so a set
# is read first, and the entry is stored last. What is gone it would remember for ever: SETRANGE
# of nothing, which changes nothing, says whether an entry is there, and is no read.
_HINT = """
local function hint(set, key, px)
  local left = redis.call('PTTL', set)
  local others = {}
  if redis.call('SCARD', set) > 63 then others = redis.call('SRANDMEMBER', set, '2') end
  redis.call('SADD', set, key)
  if px == '0' then
    if left >= 0 then redis.call('PERSIST', set) end
  elseif left == -2 or (left >= 0 and left < tonumber(px)) then
    redis.call('PEXPIRE', set, px)
  end
  for _, other in ipairs(others) do
    if other ~= key and redis.pcall('SETRANGE', other, '0', '') == 0 then
      redis.call('SREM', set, other)
    end
  end
end
"""


class Script:
    """One script, and the digest that the server knows it by.

    :param noted: on a connection that tracks, the server notes keys that it has read
    """

    def __init__(self, text: str, noted: bool = True) -> None:
        self.noted = noted
        self.text = text.encode()
        self.digest = sha1(self.text).hexdigest().encode()

    def known(self, keys: Sequence[bytes], arguments: Sequence[bytes]) -> Sequence[bytes]:
        """The command that runs it, if the server knows it."""
        return (b"EVALSHA", self.digest, b"%d" % len(keys), *keys, *arguments)

    def whole(self, keys: Sequence[bytes], arguments: Sequence[bytes]) -> Sequence[bytes]:
        """The command that runs it in any case."""
        return (b"EVAL", self.text, b"%d" % len(keys), *keys, *arguments)


# KEYS: the entry, its sets of hints. ARGV: the entry, milliseconds or 0 for ever, 'NX' or ''.
# Two others of a large set are looked at each time, so that what is gone does not pile up; nor
# do hints of tags that the entry had before.
SET: Final = Script(
    _TAGS
    + _HINT
    + """
local key, px = KEYS[1], ARGV[2]
if ARGV[3] == 'NX' and redis.call('EXISTS', key) == 1 then return 0 end
local last = 13 + struct.unpack('<H', ARGV[1], 12)
local old = redis.pcall('GETRANGE', key, '0', last - 1)
if type(old) ~= 'string' or string.sub(old, 12) == string.sub(ARGV[1], 12, last) then
  old = ''
end
old = whole(key, old)
for i = 2, #KEYS do hint(KEYS[i], key, px) end
if px == '0' then
  redis.call('SET', key, ARGV[1])
else
  redis.call('SET', key, ARGV[1], 'PX', px)
end
if #old > 13 then
  local now, names = {}, tags_of(string.sub(ARGV[1], 1, last))
  local head = string.sub(KEYS[2], 1, #KEYS[2] - #names[1])
  for _, name in ipairs(names) do now[name] = true end
  for _, name in ipairs(tags_of(old)) do
    if not now[name] then redis.call('SREM', head .. name, key) end
  end
end
return 1
"""
)

# KEYS: sets of hints. ARGV: the name of their tag. Returns how many went. Most entries that
# have the tag have no other, which one comparison tells.
EVICT: Final = Script(
    _TAGS
    + """
local call, name, gone, wanted, most = redis.call, ARGV[1], 0, {}, 0
local alone = struct.pack('<HH', #name + 2, #name) .. name
local last = tostring(10 + #alone)
local function remove()
  gone = gone + call('UNLINK', unpack(wanted))
  wanted, most = {}, 0
end
for i = 1, #KEYS do
  for _, key in ipairs(call('SMEMBERS', KEYS[i])) do
    local tags = redis.pcall('GETRANGE', key, '11', last)
    local has = tags == alone
    if not has and type(tags) == 'string' and #tags > 4 then
      for _, other in ipairs(tagged(key)) do
        has = has or other == name
      end
    end
    if has then
      most = most + 1
      wanted[most] = key
      if most == 1000 then remove() end
    end
  end
  if most > 0 then remove() end
  call('UNLINK', KEYS[i])
end
return gone
"""
)

# What there is with one of several tags, or with all of them. KEYS: what sets of hints begin
# with, in buckets. ARGV: 'any' or 'all'; 'list' or 'remove'; names of tags. Returns names of
# entries, some perhaps twice, or how many went. Where all are wanted, the smallest of some sets
# says where to look.
TAGGED: Final = Script(
    _TAGS
    + """
local call = redis.call
local every, removes = ARGV[1] == 'all', ARGV[2] == 'remove'
local names, gone, batch = {}, 0, {}
for i = 3, #ARGV do names[ARGV[i]] = true end
local function has(key)
  local n = 0
  for _, name in ipairs(tagged(key)) do
    if names[name] then n = n + 1 end
  end
  if every then return n == #ARGV - 2 end
  return n > 0
end
local function remove()
  if #batch > 0 then gone = gone + call('UNLINK', unpack(batch)) end
  batch = {}
end
local function walk(set)
  for _, key in ipairs(call('SMEMBERS', set)) do
    if has(key) then
      batch[#batch + 1] = key
      if removes and #batch == 1000 then remove() end
    end
  end
  if removes then
    remove()
    if not every then call('UNLINK', set) end
  end
end
for _, head in ipairs(KEYS) do
  if every then
    local least, chosen
    for i = 3, math.min(#ARGV, 18) do
      local size = call('SCARD', head .. ARGV[i])
      if not least or size < least then least, chosen = size, head .. ARGV[i] end
    end
    walk(chosen)
  else
    for i = 3, #ARGV do walk(head .. ARGV[i]) end
  end
end
if removes then return gone end
return batch
"""
)

# The same of some entries, whether they have hints or not. KEYS: entries. ARGV: 'list' or
# 'remove', or 'mend', which removes and gives the others their hints again; how many of these
# an entry must have; names of tags. What it removes comes first: a full server does that.
LISTED: Final = Script(
    _TAGS
    + _HINT
    + """
local call, least, asked, wanted = redis.call, tonumber(ARGV[2]), {}, {}
local mends, others = ARGV[1] == 'mend', {}
for i = 3, #ARGV do asked[ARGV[i]] = true end
for _, key in ipairs(KEYS) do
  local size = redis.pcall('GETRANGE', key, '11', '12')
  if type(size) == 'string' and #size == 2 and size ~= '\\0\\0' then
    local has, tags = 0, tagged(key)
    for _, tag in ipairs(tags) do
      if asked[tag] then has = has + 1 end
    end
    if has >= least then
      wanted[#wanted + 1] = key
    elseif mends then
      others[key] = tags
    end
  end
end
if ARGV[1] == 'list' then return wanted end
local gone = 0
if #wanted > 0 then gone = call('UNLINK', unpack(wanted)) end
for key, tags in pairs(others) do
  local head, left = string.match(key, '^[^}]*}') .. '+', call('PTTL', key)
  local px = left < 0 and '0' or string.format('%.0f', math.max(left, 1))
  for _, tag in ipairs(tags) do hint(head .. tag, key, px) end
end
return gone
"""
)

# KEYS: a set of hints. ARGV: the name of its tag, or ''. Drops those whose entries are gone, or
# do not have the tag. Returns how many.
PRUNE: Final = Script(
    _TAGS
    + """
local call, name, gone = redis.call, ARGV[1], 0
local function keeps(key)
  if call('EXISTS', key) == 0 then return false end
  if name == '' then return true end
  for _, other in ipairs(tagged(key)) do
    if other == name then return true end
  end
  return false
end
for _, key in ipairs(call('SMEMBERS', KEYS[1])) do
  if not keeps(key) then gone = gone + call('SREM', KEYS[1], key) end
end
return gone
"""
)

# A full server refuses what may take memory only where it is the first that a script writes; so
# what takes none comes first. BITFIELD tells whether it is an entry of ours, by the version in
# its first byte, and whether it has tags; to the server that is no read, which it would have to
# note and to tell of. Where there are tags, the entry is written last once more, which lets the
# server forget that it was read. Their sets are not read: they have the entry, unless hints
# were lost, and GT lets a set end no earlier than before (not so Redis 6.2).
_ENDS = (
    """
if px == '-1' then return call('UNLINK', key) end
if call('PEXPIRE', key, px == '0' and '1000000000000' or px) == 0 then return 0 end
if px == '0' then call('PERSIST', key) end
local seen = redis.pcall('BITFIELD', key, 'GET', 'u8', '0', 'GET', 'u16', '88')
if seen[1] ~= 1 then return 0 end
call('SETRANGE', key, '3', ARGV[1])
if seen[2] == 0 then return 1 end
"""
    + _TAGS
    + _HINT
    + """
local function extend(set)
  if px == '0' then
    call('SADD', set, key)
    call('PERSIST', set)
  elseif type(redis.pcall('PEXPIRE', set, px, 'GT')) ~= 'number' then
    hint(set, key, px)
  elseif call('SADD', set, key) == 1 then
    call('SREM', set, key)
    hint(set, key, px)
  end
end
for _, name in ipairs(tagged(key)) do extend(ARGV[3] .. name) end
call('SETRANGE', key, '3', ARGV[1])
return 1
"""
)

# KEYS: the entry. ARGV: when it ends, as in its header; milliseconds, 0 for ever, less for now;
# what sets of hints of its bucket begin with. Returns whether it was there.
TOUCH: Final = Script("local call, key, px = redis.call, KEYS[1], ARGV[2]" + _ENDS, noted=False)

# The same, but what ends after the first of two ends more, as in headers, and not after the
# other, is left as it is. Returns whether it was there and was changed.
TOUCH_UNLESS: Final = Script(
    """
local call, key, px = redis.call, KEYS[1], ARGV[2]
local head = call('GETRANGE', key, '3', '10')
if #head < 8 then return 0 end
local due = struct.unpack('<d', head)
if due > struct.unpack('<d', ARGV[4]) and due <= struct.unpack('<d', ARGV[5]) then return 0 end
"""
    + _ENDS
)

# KEYS: the entry. ARGV: what is added; what a missing entry counts as, or ''; the header of a
# new one. Returns the sum, or false if it is missing, or '' where Lua's numbers, which are
# doubles, could lose a digit, or where there are no digits: then the caller adds.
INCR: Final = Script(
    """
local most = 4503599627370496
local old = redis.call('GET', KEYS[1])
local head, number
if not old then
  if ARGV[2] == '' then return false end
  head, number = ARGV[3], tonumber(ARGV[2])
else
  if #old < 14 or string.byte(old, 1) ~= 1 or string.byte(old, 2) ~= 3 then return '' end
  local last = 13 + struct.unpack('<H', old, 12)
  number = string.match(string.sub(old, last + 1), '^-?%d+$')
  if not number then return '' end
  head, number = string.sub(old, 1, last), tonumber(number)
end
local sum = number + tonumber(ARGV[1])
if math.abs(number) > most or math.abs(sum) > most then return '' end
local digits = string.format('%.0f', sum)
if old then
  redis.call('SET', KEYS[1], head .. digits, 'KEEPTTL')
else
  redis.call('SET', KEYS[1], head .. digits)
end
return digits
"""
)

# KEYS: the entry, sets of hints of what it becomes. ARGV: what it must be, '' for missing; what
# it becomes, '' for gone; milliseconds, 0 for ever, less for as long as it would be. Returns
# whether it was. What grows no longer is stored on a full server too, as in `TOUCH`: a lock is
# given back there. The end that it has is set once more for that.
REPLACE: Final = Script(
    _HINT
    + """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
if ARGV[2] == '' then
  redis.call('UNLINK', KEYS[1])
  return 1
end
local px = tonumber(ARGV[3])
if #ARGV[2] <= #ARGV[1] then
  local left = redis.call('PTTL', KEYS[1])
  if left < 0 then
    redis.call('PERSIST', KEYS[1])
  else
    redis.call('PEXPIRE', KEYS[1], math.max(left, 1))
  end
end
for i = 2, #KEYS do hint(KEYS[i], KEYS[1], ARGV[3]) end
if px > 0 then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', px)
elseif px == 0 then
  redis.call('SET', KEYS[1], ARGV[2])
else
  redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
end
return 1
"""
)

# KEYS: a claim. ARGV: who has it; milliseconds that he has it for, 0 to give it back. Returns
# whether he had it.
CLAIM: Final = Script(
    """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then
  redis.call('UNLINK', KEYS[1])
else
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 1
"""
)

# KEYS: where counts are; hashes of traffic over time. ARGV: for each of these hashes the number
# of the part that it is now, and seconds to keep it; then names and how many more of each.
COUNT: Final = Script(
    """
local first = 2 * #KEYS - 1
for i = first, #ARGV, 2 do
  redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1])
end
for k = 2, #KEYS do
  local part = ARGV[2 * k - 3] .. ':'
  for i = first, #ARGV, 2 do
    redis.call('HINCRBY', KEYS[k], part .. ARGV[i], ARGV[i + 1])
  end
  redis.call('EXPIRE', KEYS[k], ARGV[2 * k - 2])
end
"""
)

# KEYS: hashes. Returns all of each.
HISTORY: Final = Script(
    """
local found = {}
for i = 1, #KEYS do found[i] = redis.call('HGETALL', KEYS[i]) end
return found
"""
)

# KEYS: the entry. ARGV: how many bytes of its value. Returns milliseconds that are left, bytes
# of all, header and tags, the beginning of the value, seconds since it was used and how often
# as the server counts that (-1 is not known), bytes of memory; false if there is none. To the
# server this is a use, so when the last one was is asked first.
LOOK: Final = Script(
    _TAGS
    + """
local key = KEYS[1]
if redis.call('TYPE', key).ok ~= 'string' then return false end
local function known(...)
  local found = redis.pcall(...)
  return type(found) == 'number' and found or -1
end
local idle, often = known('OBJECT', 'IDLETIME', key), known('OBJECT', 'FREQ', key)
local memory = known('MEMORY', 'USAGE', key)
local head = whole(key, redis.call('GETRANGE', key, 0, 255))
if #head < 13 then return false end
local last = 13 + struct.unpack('<H', head, 12)
local value = ''
if ARGV[1] ~= '0' then value = redis.call('GETRANGE', key, last, last + ARGV[1] - 1) end
local size, left = redis.call('STRLEN', key), redis.call('PTTL', key)
return {left, size, string.sub(head, 1, last), value, idle, often, memory}
"""
)

# The most that INCR is given: a double holds it, and its sum with as much, exactly.
MOST_ADDED: Final = 2**52
