-- What wrk sends: batches of alerts, each with labels of its own, so that no two are the same.
-- From the environment: TARGET (alertmanager or incident-engine), BATCH, RUN (digits, so that runs differ), SERVICES,
-- REGIONS (separated by commas), PAUSE (milliseconds before each request; 0: as fast as the answers come).
-- Everything but the number and the instant of an alert is built before the first request.

local batch = tonumber(os.getenv("BATCH"))
local run = os.getenv("RUN")
local wrapped = os.getenv("TARGET") == "incident-engine"
local pause = tonumber(os.getenv("PAUSE") or "0")
local EVALUATION = 15 -- seconds between two evaluations of a rule by Prometheus; startsAt is the instant of one

local threads = 0
function setup(thread)
  thread:set("thread_number", threads)
  threads = threads + 1
end

local function split(text)
  local parts = {}
  for part in text:gmatch("[^,]+") do parts[#parts + 1] = part end
  return parts
end

local services, regions = split(os.getenv("SERVICES")), split(os.getenv("REGIONS"))
local kinds = {}
for _, region in ipairs(regions) do
  for place, service in ipairs(services) do
    local labels = '"labels":{"alertname":"ServiceDown","cluster":"prod-a","instance":"'
    local more = ':9100","job":"node","region":"' .. region .. '","service":"' .. service .. '","severity":"critical"}'
    local noted = ',"annotations":{"summary":"' .. service .. ' does not answer on node '
    local from = '"},"generatorURL":"http://prometheus.example:9090/graph?g0.expr=up%3D%3D0","startsAt":"'
    kinds[#kinds + 1] = {
      (wrapped and '{"status":"firing",' or "{") .. labels,
      more .. noted,
      from,
      string.format(".%03dZ", 37 * place % 1000),
    }
  end
end

local count = 0
local second, instant = 0, ""
local parts = {}

local function starts_at()
  local now = os.time()
  if now ~= second then
    second = now
    instant = os.date("!%Y-%m-%dT%H:%M:%S", now - now % EVALUATION - EVALUATION)
  end
  return instant
end

local function alerts()
  local at, length = starts_at(), 0
  for _ = 1, batch do
    count = count + 1
    local number = string.format("%s%d%010d", run, thread_number, count)
    local kind = kinds[count % #kinds + 1]
    parts[length + 1], parts[length + 2], parts[length + 3] = length > 0 and "," or "", kind[1], "node-" .. number
    parts[length + 4], parts[length + 5], parts[length + 6] = kind[2], number, kind[3]
    parts[length + 7], parts[length + 8] = at, kind[4]
    parts[length + 9] = wrapped and '","endsAt":"0001-01-01T00:00:00Z","fingerprint":"' .. number .. '"}' or '"}'
    length = length + 9
  end
  return table.concat(parts, "", 1, length)
end

function request()
  local body = wrapped
      and '{"version":"4","status":"firing","receiver":"incident-engine","alerts":[' .. alerts() .. "]}"
    or "[" .. alerts() .. "]"
  return wrk.format("POST", nil, nil, body)
end

function delay() return pause end

wrk.headers["Content-Type"] = "application/json"

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nRESULT {"requests":%d,"seconds":%.6f,"p50":%.6f,"p99":%.6f,"refused":%d,"broken":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e6, latency:percentile(99) / 1e6,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
