-- The scripts run in Redis, after prelude.lua: its local functions are unknown globals in the other files, and unused in its own.
std = "lua51"
read_globals = { "ARGV", "KEYS", "redis", "cjson" }
ignore = { "113" }
max_line_length = false
files["pollflow/store/lua/prelude.lua"] = { ignore = { "211", "221" } }
