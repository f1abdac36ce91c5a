"""What schemathesis has to know besides the document: bodies that are no JSON, and the rules that no schema can say.

A schema counts characters where Sluice counts bytes, does not know what time it is, and not that a parameter goes with
one type of body only. What breaks such a rule is not sent as a request that has to be accepted.
"""

import datetime as dt
import re
import struct

import schemathesis
from hypothesis import strategies as st

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,60}", fullmatch=True)
NUMBERS = st.floats(-1e6, 1e6).map(lambda number: f"{number:.3f}")
SMALLEST = 32  # Bytes of the shortest text that a reading may have.


def recent():
    return dt.datetime.now(dt.timezone.utc) - dt.timedelta(days=1)


def lines(line, *first):
    return st.lists(line, min_size=1, max_size=20).map(lambda found: "\n".join([*first, *found]).encode())


POINT = st.builds("climate,device={} v={}".format, NAMES, NUMBERS)
READING = st.builds('{{"device":"{}","sensor":"{}","value":{}}}'.format, NAMES, NAMES, NUMBERS)
RECORD = st.builds('{{"bn":"{}:","n":"{}","v":{}}}'.format, st.from_regex(r"[a-z]{1,40}", fullmatch=True),
                   st.from_regex(r"[a-z]{1,40}", fullmatch=True), NUMBERS)  # fmt: skip
FLOATS = st.floats(-1e6, 1e6, width=32)
BYTES_12 = st.binary(min_size=12, max_size=12)

for media_type, strategy in [
    ("text/plain", lines(POINT)),
    ("text/csv", lines(st.builds("{},{},{}".format, NAMES, NAMES, NUMBERS), "device,sensor,value")),
    ("application/x-ndjson", lines(READING)),
    ("application/senml+json", st.lists(RECORD, min_size=1, max_size=20).map(lambda all: f"[{','.join(all)}]".encode())),
    ("application/sbx-bytes", st.builds(lambda id, value: id + struct.pack("<f", value), BYTES_12, FLOATS)),
    (
        "application/sbx-bytes-ts",
        st.builds(lambda id, value: id + struct.pack("<fI", value, int(recent().timestamp())), BYTES_12, FLOATS),
    ),
]:
    schemathesis.openapi.media_type(media_type, strategy)

schemathesis.openapi.format(
    "date-time", st.integers(0, 86_400).map(lambda seconds: (recent() + dt.timedelta(seconds=seconds)).isoformat())
)


@schemathesis.deserializer("text/html")
def page(_context, response):
    return response.content.decode()


def leaves(value):
    """Every name and value in it that is neither an object nor an array."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from leaves(member)
    elif isinstance(value, list):
        for element in value:
            yield from leaves(element)
    else:
        yield value


def is_plain(value):
    """Whether a text has as many bytes as characters, or few enough; a time is in Sluice's bounds; a number has 64 bits."""
    if isinstance(value, int):
        return -(2**63) <= value < 2**64
    if not isinstance(value, str):
        return True
    if len(value.encode(errors="surrogatepass")) > max(len(value), SMALLEST):
        return False
    if not re.match(r"\d{4}-\d\d-\d\d[Tt ]\d\d", value):
        return True
    try:
        return abs(dt.datetime.fromisoformat(value.upper()) - recent()) <= dt.timedelta(days=1)
    except (ValueError, TypeError):
        return False


def leads_below(url):
    """Whether an address has a port that there is, and no path that leads upwards, in whichever way it is written."""
    port = re.match(r"[^/?]*//[^/?]*:(\d+)(?:[/?]|$)", url)
    path = url.partition("?")[0].lower().replace("%2e", ".")
    if port and not 0 < int(port[1]) < 65_536 or re.search("%2f|%5c|%00", path):
        return False
    return not any(segment.partition(";")[0] in (".", "..") for segment in path.split("/")[3:])


@schemathesis.hook
def filter_case(context, case):
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return True
    body, query, headers, path = case.body, case.query or {}, case.headers or {}, context.operation.path
    if path.startswith("/boxes") and (query or case.media_type == "text/csv"):
        return False
    if isinstance(body, dict) and path == "/boxes/{box}/data" and {"sensordatavalues", "reading"} & body.keys():
        return False
    if path == "/v1/jobs" and query:
        return False
    if path == "/v1/readings" and query and case.media_type != "application/json":
        return False
    if path in ("/data.php", "/v1/push-sensor-data", "/v1/push-sensor-data/"):
        device = headers.get("X-Sensor") or (body.get("esp8266id") if isinstance(body, dict) else None)
        if not isinstance(device, str) or not re.search(r"[A-Za-z0-9]", device) or len(device) > 100:
            return False
    if path.endswith("Observations") and any(isinstance(leaf, str) and "/" in leaf for leaf in leaves(body)):
        return False
    if path == "/v1/jobs" and isinstance(body, dict) and not leads_below(body.get("url", "")):
        return False
    return all(is_plain(leaf) for leaf in leaves(body))
