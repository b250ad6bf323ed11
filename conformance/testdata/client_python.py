# Parses scrapes with prometheus_client. Each line of the input is a JSON object with a
# scrape and its format, and each line of the output is a JSON object with the families or
# the error. Values are hexadecimal, so that no digit is lost.
import json
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text


def milliseconds(t):
    if t is None:
        return None
    if hasattr(t, "nsec"):
        return t.sec * 1000 + t.nsec / 1e6
    return t * 1000


def exemplar(x):
    if x is None:
        return None
    return {"labels": list(x.labels.items()), "value": float(x.value).hex(), "at": milliseconds(x.timestamp)}


def sample(s):
    return {
        "name": s.name,
        "labels": list(s.labels.items()),
        "value": float(s.value).hex(),
        "at": milliseconds(s.timestamp),
        "exemplar": exemplar(s.exemplar),
    }


def family(f):
    return {"name": f.name, "kind": f.type, "help": f.documentation, "unit": f.unit, "samples": [sample(s) for s in f.samples]}


for line in sys.stdin:
    request = json.loads(line)
    parse = openmetrics if request["openMetrics"] else text
    try:
        result = {"families": [family(f) for f in parse(request["scrape"])]}
    except Exception as e:
        result = {"error": repr(e)}
    print(json.dumps(result), flush=True)
