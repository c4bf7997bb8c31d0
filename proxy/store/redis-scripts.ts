/**
 * Quotas and places in Redis. Each script touches one key, so that it runs in a Cluster too, and does what
 * `proxy/store/counter.ts` does: the suite in `test/unit/store/store-suite.ts` holds both to it. Time is that of the Redis
 * server, unless a test gives another one: clocks of instances need not agree.
 */

/** Milliseconds that a key outlives what it says: what has run out is judged by the script, never by the expiry. */
const GRACE = 1000

const NOW = `
local function clock(given)
  if given ~= '' then return tonumber(given) end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
`

/** ARGV: window, limit, windowMs, burst, min, need, extra, spend (1 = count `need` in any case), now. */
const QUOTA = `${NOW}
local key = KEYS[1]
local window = ARGV[1]
local limit, span, burst = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local min, need, extra = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local now = clock(ARGV[9])
local least = math.max(1, min)

local function portion(available)
  if ARGV[8] == '1' then return need end
  if available < min then return 0 end
  return math.max(0, math.min(math.floor(available), need + extra))
end

local function keep(value, ms)
  redis.call('SET', key, value, 'PX', string.format('%.0f', math.ceil(ms) + ${GRACE}))
end

local function reply(granted, remaining, retry, valid)
  return { granted, math.floor(remaining), math.ceil(math.max(0, retry)), valid }
end

if window == 'fixed' then
  local index = math.floor(now / span)
  local left = (index + 1) * span - now
  local used = 0
  local at, count = string.match(redis.call('GET', key) or '', '^(%d+):(%d+)$')
  if at and tonumber(at) == index then used = tonumber(count) end
  local granted = portion(limit - used)
  if granted ~= 0 then
    used = math.max(0, used + granted)
    keep(string.format('%.0f:%.0f', index, used), left)
  end
  local rest = limit - used
  return reply(granted, rest, rest >= least and 0 or left, left)
end

if window == 'smooth' then
  local gap = span / limit
  local at = math.max(now, tonumber(redis.call('GET', key) or '') or 0)
  local available = burst - (at - now) / gap + 1e-6
  local granted = portion(available)
  if granted ~= 0 then
    at = math.max(now, at + granted * gap)
    keep(string.format('%.3f', at), at - now)
    available = burst - (at - now) / gap + 1e-6
  end
  local retry = 0
  if available < least then retry = least > burst and span or (least - available) * gap - 1e-3 end
  return reply(granted, available, retry, -1)
end

-- sliding: entries of three numbers: first use, last use, how much
local log = {}
local used = 0
local raw = redis.call('GET', key)
if raw then
  local all = cmsgpack.unpack(raw)
  for i = 1, #all, 3 do
    if all[i + 1] + span > now then
      log[#log + 1] = all[i]
      log[#log + 1] = all[i + 1]
      log[#log + 1] = all[i + 2]
      used = used + all[i + 2]
    end
  end
end
local granted = portion(limit - used)
if granted > 0 then
  if #log > 0 and now - log[#log - 2] < span / 100 then
    log[#log - 1] = math.max(now, log[#log - 1])
    log[#log] = log[#log] + granted
  else
    log[#log + 1] = now
    log[#log + 1] = now
    log[#log + 1] = granted
  end
elseif granted < 0 then
  local left = -granted
  while left > 0 and #log > 0 do
    local part = math.min(left, log[#log])
    left = left - part
    log[#log] = log[#log] - part
    used = used - part
    if log[#log] == 0 then
      log[#log] = nil
      log[#log] = nil
      log[#log] = nil
    end
  end
end
if granted ~= 0 then
  if #log > 0 then keep(cmsgpack.pack(log), log[#log - 1] + span - now) else redis.call('DEL', key) end
end
local rest = limit - used - math.max(0, granted)
local retry = 0
if rest < least then
  if least > limit then
    retry = span
  else
    local free = rest
    for i = 1, #log, 3 do
      free = free + log[i + 2]
      if free >= least then
        retry = log[i + 1] + span - now
        break
      end
    end
  end
end
return reply(granted, rest, retry, -1)
`

/** Places of all holders that are alive. ARGV: holder, count, limit (-1 = none), ttlMs, now. */
const PLACES = `${NOW}
local key, holder = KEYS[1], ARGV[1]
local count, limit, ttl = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local now = clock(ARGV[5])
local all = redis.call('HGETALL', key)
local sum = count
for i = 1, #all, 2 do
  local held, ends = string.match(all[i + 1], '^(%d+):(%d+)$')
  if tonumber(ends or 0) <= now then
    redis.call('HDEL', key, all[i])
  elseif all[i] ~= holder then
    sum = sum + tonumber(held)
  end
end
if limit >= 0 and sum > limit then return 0 end
if count > 0 then
  redis.call('HSET', key, holder, string.format('%.0f:%.0f', count, now + ttl))
  redis.call('PEXPIRE', key, string.format('%.0f', ttl + ${GRACE}))
else
  redis.call('HDEL', key, holder)
end
return 1
`

/** Counts on from a number, and from 0 after anything else. ARGV: by, ttlMs. */
const INCREMENT = `
local old = redis.call('GET', KEYS[1])
local value = (tonumber(old or '') or 0) + tonumber(ARGV[1])
local text = string.format('%.17g', value)
if old then redis.call('SET', KEYS[1], text, 'KEEPTTL') else redis.call('SET', KEYS[1], text, 'PX', ARGV[2]) end
return text
`

type Argument = string | number

/** Our scripts as commands of a client. */
export interface Scripts {
  sluiceQuota(key: string, ...args: Argument[]): Promise<[number, number, number, number]>
  sluicePlaces(key: string, ...args: Argument[]): Promise<number>
  sluiceIncrement(key: string, ...args: Argument[]): Promise<string>
}

export const SCRIPTS = {
  sluiceQuota: { lua: QUOTA, numberOfKeys: 1 },
  sluicePlaces: { lua: PLACES, numberOfKeys: 1 },
  sluiceIncrement: { lua: INCREMENT, numberOfKeys: 1 },
}
