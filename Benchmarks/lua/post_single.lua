-- One reading a request, from many devices; the arguments are the readings' time and the number of devices.
-- SLUICE_BENCH_KEY names the file of the key that it sends, if any.
-- At the end it prints one line of JSON for the program that started wrk.

local requests = {}
local next_request = 0

function init(arguments)
  local time, devices = arguments[1], tonumber(arguments[2])
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  local key = os.getenv("SLUICE_BENCH_KEY")
  if key then wrk.headers["Authorization"] = "Bearer " .. io.open(key):read() end
  for number = 0, devices * 4 - 1 do
    wrk.body = string.format(
      '{"device":"greenhouse-%05d","sensor":"temperature","value":%.2f,"unit":"Cel","ts":"%s"}',
      number % devices, 15 + number * 7919 % 2000 / 100, time)
    requests[number] = wrk.format(nil, "/v1/readings")
  end
end

function request()
  next_request = (next_request + 1) % (#requests + 1)
  return requests[next_request]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"seconds":%.6f,"p50_ms":%.3f,"p99_ms":%.3f,"bad_status":%d,"failed":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
