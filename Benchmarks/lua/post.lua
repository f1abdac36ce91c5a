-- Posts the bodies of a file in turn; the arguments are the file, the content type and, if there is one, the encoding.
-- The file has, for each body, its length in a line and then its bytes.
-- SLUICE_BENCH_KEY names the file of the key that it sends, if any.
-- At the end it prints one line of JSON for the program that started wrk.

local requests = {}
local next_request = 0

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  wrk.method = "POST"
  wrk.headers["Content-Type"] = arguments[2]
  wrk.headers["Content-Encoding"] = arguments[3]
  local key = os.getenv("SLUICE_BENCH_KEY")
  if key then wrk.headers["Authorization"] = "Bearer " .. io.open(key):read() end
  for length in file:lines() do
    wrk.body = file:read(tonumber(length))
    requests[#requests + 1] = wrk.format(nil, "/v1/readings")
  end
end

function request()
  next_request = next_request % #requests + 1
  return requests[next_request]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"seconds":%.6f,"p50_ms":%.3f,"p99_ms":%.3f,"bad_status":%d,"failed":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
