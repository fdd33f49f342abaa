-- wrk's script: every request is another message. Arguments: the file that bench/load/messages.py wrote,
-- and the number of the first message.

local parts, number, head

function init(args)
  parts = dofile(args[1])
  number = tonumber(args[2]) - 1
  head = string.format(
    "POST %s HTTP/1.1\r\nHost: %s:%s\r\nContent-Type: application/json\r\nContent-Length: ",
    wrk.path, wrk.host, wrk.port)
end

function request()
  number = number + 1
  local part = parts[number % #parts + 1]
  local body = part[1] .. string.format("%012d", number) .. part[2]
  return head .. #body .. "\r\n\r\n" .. body
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"seconds": %f, "answers": %d, "refused": %d, "broken": %d, "p50_ms": %f, "p99_ms": %f, "p999_ms": %f, "max_ms": %f}\n',
    summary.duration / 1e6, summary.requests, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency:percentile(99.9) / 1000,
    latency.max / 1000))
end
