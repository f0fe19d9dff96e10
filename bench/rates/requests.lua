-- wrk sends the requests of a file in turn; they are written out whole in it.
local requests = {}
local number = 0

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  for each in string.gmatch(file:read("*a"), "[^\30]+") do
    requests[#requests + 1] = each
  end
  file:close()
end

function request()
  number = number % #requests + 1
  return requests[number]
end

function done(summary)
  local errors = summary.errors.connect + summary.errors.read + summary.errors.write
    + summary.errors.status + summary.errors.timeout
  io.write(string.format("answered %d in %d us, %d errors\n", summary.requests, summary.duration, errors))
end
