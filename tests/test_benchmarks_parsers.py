"""What the tools print, as captured from real runs against the misbehaving server."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from benchmarks import parsers

HEY = """
Summary:
  Total:	0.0126 secs
  Requests/sec:	15845.2300

Response time histogram:
  0.000 [1]	|
  0.000 [114]	|■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■

Latency distribution:
  10% in 0.0001 secs
  99% in 0.0023 secs

Details (average, fastest, slowest):
  DNS+dialup:	0.0000 secs, 0.0000 secs, 0.0025 secs

Status code distribution:
  [200]	189 responses
  [503]	10 responses

Error distribution:
  [1]	Get "http://127.0.0.1:36039/fin/hey?every=20": EOF
"""
HEY_CSV = """response-time,DNS+dialup,DNS,Request-write,Response-delay,Response-read,status-code,offset
0.0028,0.0002,0.0000,0.0001,0.0016,0.0001,200,0.0152
0.0018,0.0012,0.0000,0.0001,0.0004,0.0000,503,0.0165
"""
BOMBARDIER = (
    '{"spec":{"numberOfConnections":10,"testType":"number-of-requests","numberOfRequests":1000,"method":"GET"},'
    '"result":{"bytesRead":77970,"timeTakenSeconds":0.072969697,"req1xx":0,"req2xx":987,"req3xx":0,"req4xx":0,'
    '"req5xx":10,"others":3,"errors":[{"description":"timeout","count":3}],"latency":{"mean":696.565,"max":14731,'
    '"percentiles":{"50":127,"75":525,"90":1783,"95":3342,"99":8282}},"rps":{"percentiles":{"99":28781.4}}}}'
)
WRK = """Running 1s test @ http://127.0.0.1:37113/fin/wrk?every=100
  1 threads and 10 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.33ms    2.29ms  21.11ms   89.60%
    Req/Sec    16.77k     6.72k   30.51k    72.73%
  Latency Distribution
     50%  374.00us
     75%    1.56ms
     90%    3.72ms
     99%   11.64ms
  18315 requests in 1.10s, 1.36MB read
  Socket errors: connect 0, read 185, write 0, timeout 0
Requests/sec:  16614.37
"""
WRK_503 = """     99%  930.00us
  23643 requests in 1.01s, 1.76MB read
  Non-2xx or 3xx responses: 236
"""
H2LOAD = """finished in 48.66ms, 13501.85 req/s, 1.00MB/s
requests: 1000 total, 663 started, 657 done, 657 succeeded, 343 failed, 343 errored, 0 timeout
status codes: 657 2xx, 0 3xx, 0 4xx, 0 5xx
"""
H2LOAD_LOG = (
    "1795550629185553\t200\t239\n1795550629185828\t200\t92\n1795550633723421\t503\t196\n1795550633723500\t-1\t7\n"
)
VEGETA = """1795550633788040597,200,530961,0,2,,b2s=,,1,GET,http://127.0.0.1:37113/a,Q29u
1795550633786492990,200,2413238,0,2,,b2s=,,0,GET,http://127.0.0.1:37113/b,Q29u
1795550633984172948,503,2160822,0,0,503 Service Unavailable,,,2,GET,http://127.0.0.1:37113/a,Q29u
1795550633986172948,0,216082,0,0,"Get ""http://127.0.0.1:37113/a"": EOF",,,3,GET,http://127.0.0.1:37113/a,
"""
OHA = {
    "summary": {"successRate": 0.95},
    "latencyPercentiles": {"p50": 0.000397072, "p99": 0.004179931},
    "statusCodeDistribution": {"200": 180, "503": 10},
    "errorDistribution": {"connection closed before message completed": 10, "aborted due to deadline": 4},
}
LOCUST = """[
    {
        "name": "one",
        "num_requests": 100,
        "num_failures": 5,
        "response_times": {"6": 14, "1": 80, "1000": 6}
    }
]
"""


def test_hey_reports_errors_and_bad_statuses() -> None:
    told = parsers.hey(HEY)
    assert (told.issued, told.reported) == (200, 11)
    assert told.p99_ms == pytest.approx(2.3)


def test_hey_csv_holds_answers_only() -> None:
    told = parsers.hey_csv(HEY_CSV)
    assert (told.issued, told.reported) == (2, 1)
    assert told.log is not None and not told.log.complete
    assert told.log.sent.tolist() == [15_200_000, 16_500_000]
    assert told.log.end.tolist() == [18_000_000, 18_300_000]


def test_bombardier_counts_what_had_no_answer() -> None:
    told = parsers.bombardier(BOMBARDIER)
    assert (told.issued, told.reported) == (1000, 13)
    assert told.p99_ms == pytest.approx(8.282)


def test_wrk_adds_socket_errors_to_its_answers() -> None:
    told = parsers.wrk(WRK)
    assert (told.issued, told.reported) == (18_500, 185)
    assert told.p99_ms == pytest.approx(11.64)
    told = parsers.wrk(WRK_503)
    assert (told.issued, told.reported) == (23_643, 236)
    assert told.p99_ms == pytest.approx(0.93)


def test_h2load_counts_what_it_started() -> None:
    told = parsers.h2load(H2LOAD)
    assert (told.issued, told.reported, told.p99_ms) == (663, 343, None)
    log = parsers.h2load_log(H2LOAD_LOG)
    assert log.ok.tolist() == [True, True, False, False]
    assert (log.end - log.sent).tolist() == [239_000, 92_000, 196_000, 7_000]


def test_vegeta_is_put_in_the_order_of_its_schedule() -> None:
    told = parsers.vegeta_csv(VEGETA, 500, ("http://127.0.0.1:37113/a", "http://127.0.0.1:37113/b"))
    assert (told.issued, told.reported) == (4, 2)
    assert told.log is not None
    assert told.log.entry.tolist() == [1, 0, 0, 0]
    assert told.log.sent[0] == 1795550633786492990
    # the second request is the earliest against began + seq/rate: the first was 0.45 ms later than that
    assert told.log.lag[:2].tolist() == [452_393, 0]


def test_oha_counts_no_request_that_its_own_end_cut_off() -> None:
    told = parsers.oha(json.dumps(OHA))
    assert (told.issued, told.reported) == (200, 20)
    assert told.p99_ms == pytest.approx(4.179931)


def test_oha_database(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "db")
    connection.execute(
        "CREATE TABLE oha (url TEXT, start REAL, start_latency_correction REAL, end REAL, status INTEGER)"
    )
    connection.execute("INSERT INTO oha VALUES ('u', 0.5, NULL, 0.75, 200), ('u', 1.0, 0.9, 1.25, 503)")
    connection.commit()
    connection.close()
    log = parsers.oha_database(tmp_path / "db")
    assert log.sent.tolist() == [500_000_000, 1_000_000_000]
    assert log.end.tolist() == [750_000_000, 1_250_000_000]
    assert log.ok.tolist() == [True, False]


def test_locust_percentile_is_its_own_rule() -> None:
    told = parsers.locust("noise before\n" + LOCUST)
    assert (told.issued, told.reported, told.p99_ms) == (100, 5, 1000)


def test_locust_log() -> None:
    log = parsers.locust_log("100 200 1 0\n150 160 0 3\nhalf a li")
    assert (log.sent.tolist(), log.ok.tolist(), log.entry.tolist()) == ([100, 150], [True, False], [0, 3])


@pytest.mark.parametrize("parse", [parsers.hey, parsers.wrk, parsers.h2load, parsers.locust])
def test_silence_is_no_result(parse: object) -> None:
    with pytest.raises(parsers.Unreadable):
        parse("a tool that died")  # type: ignore[operator]


def test_a_tool_that_recorded_nothing_is_no_result() -> None:
    with pytest.raises(parsers.Unreadable):
        parsers.vegeta_csv("", 200)
