"""The counted load's own client: one call is one wire attempt. No locust, no kubernetes in here.

framing    one answer, bytes in, verdict on its framing out (no sockets)
identity   which revision and pod an answer tells
http       one attempt on one connection
recorder   samples to disk, 64 bytes each
plan       what to send where, at what rate, for how long: a JSON file
pacer      the open model: every sample at its own intended time
generator  all classes of one plan, one record, one ledger
misbehave  the toy server that does everything wrong on request
tasks      a user's own Locust tasks on this client: one call, one attempt, one sample
secrets    ${NAME}, filled in from the environment as late as possible
selftest   the client against that server: reported = injected, arrivals = issued
"""
