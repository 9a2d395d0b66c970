"""Hears every message that goes through RabbitMQ, as any other program would,
and holds each against docs/messages.schema.json.

    messages.py BROKER SCHEMA STORE

Prints `ready` once it listens, then a line for each new sort of message; ends
well once it has seen and checked all of WANTED and what lies in the folder
STORE, and with a message of what is missing or wrong otherwise.
"""

import copy
import io
import json
import sys
import time
from pathlib import Path

import jsonschema
import pika

PREFIX = "skydose"
PATIENCE_S = 120

WANTED = {
    "skydose.job application/json",
    "skydose.job application/vnd.apache.arrow.stream",
    "skydose.job claimed",
    "skydose.result inline",
    "skydose.result stored",
    "skydose.result buried",
    "skydose.result cancelled",
    "skydose.heartbeat",
    "skydose.command",
    "skydose.scaling",
    "skydose.scaling-order",
}

# What must not be there, or may not be left out, to be refused by the schema.
BROKEN = {
    "skydose.job": [("add", "colour"), ("drop", "dataset"), ("set", "dataset", "../x"), ("set", "vertical", "cubic")],
    "skydose.result": [("add", "colour"), ("drop", "ending"), ("set", "attempt", "one"), ("set", "at", "noon")],
    "skydose.heartbeat": [("drop", "worker"), ("set", "version", 2), ("set", "state", "asleep"), ("set", "worker", "a.b")],
    "skydose.command": [("drop", "order"), ("set", "order", "sing"), ("drop", "version")],
    "skydose.scaling": [("drop", "decision"), ("set", "queues", 5), ("drop", "version")],
    "skydose.scaling-order": [("drop", "at"), ("set", "version", 2)],
    "skydose.submission": [("add", "colour"), ("drop", "jobs")],
    "skydose.manifest": [("add", "colour"), ("drop", "rows"), ("set", "key", "short")],
    "skydose.properties": [("drop", "type"), ("set", "type", "skydose.other"), ("set", "content_encoding", "gzip")],
}


class Checker:
    """Validates by the definition of a kind."""

    def __init__(self, schema):
        jsonschema.Draft202012Validator.check_schema(schema)
        self.schema = schema
        self.formats = jsonschema.Draft202012Validator.FORMAT_CHECKER
        # Without the package that jsonschema takes for this, our own.
        self.formats.checks("date-time", raises=ValueError)(is_time)

    def validator(self, kind):
        alone = {"$ref": f"#/$defs/{kind}", "$defs": self.schema["$defs"]}
        return jsonschema.Draft202012Validator(alone, format_checker=self.formats)

    def check(self, kind, document):
        validator = self.validator(kind)
        faults = [f"{kind}: {error.json_path}: {error.message[:300]}" for error in validator.iter_errors(document)]
        if faults:
            raise SystemExit("\n".join(faults) + f"\n{json.dumps(document)[:2000]}")
        for how, field, *value in BROKEN[kind]:
            broken = copy.deepcopy(document)
            if how == "drop":
                broken.pop(field)
            else:
                broken[field] = value[0] if value else 1
            if validator.is_valid(broken):
                raise SystemExit(f"{kind} passes although {field} is broken ({how}): {json.dumps(broken)[:1000]}")


def is_time(text):
    from datetime import datetime

    return not isinstance(text, str) or bool(datetime.fromisoformat(text.replace("Z", "+00:00")).tzinfo)


def beside(properties):
    """The properties that are there, as a document."""
    names = ["type", "message_id", "content_type", "content_encoding", "delivery_mode", "reply_to", "correlation_id"]
    found = {name: getattr(properties, name) for name in [*names, "headers"]}
    return {name: value for name, value in found.items() if value is not None}


def arrow_head(body):
    """The document in the metadata of an Arrow stream's schema, by hand: the
    one JSON object among its bytes, before or after its name."""
    assert b"skydose.job" in body
    at = body.find(b"{")
    while at >= 0:
        try:
            return json.JSONDecoder().raw_decode(body[at:].decode("utf-8", "replace"))[0]
        except ValueError:
            at = body.find(b"{", at + 1)
    raise SystemExit("no JSON object in the metadata of an Arrow stream")


def sort_of(kind, properties, document):
    """What WANTED calls it."""
    if kind == "skydose.job":
        return f"{kind} claimed" if "flights_in_store" in document else f"{kind} {properties.content_type}"
    if kind == "skydose.result":
        ending = document["ending"]
        if ending == "cancelled":
            return f"{kind} cancelled"
        if "buried" in ending:
            return f"{kind} buried"
        return f"{kind} {next(iter(ending['answered']['rows']))}"
    return kind


def check_message(checker, properties, body):
    kind = properties.type
    checker.check("skydose.properties", beside(properties))
    if kind == "skydose.job" and properties.content_encoding:
        return None
    if properties.content_type == "application/json":
        document = json.load(io.BytesIO(body))
        checker.check(kind, document)
    else:
        # The same object as a job's, but that the flights are beside it.
        document = arrow_head(body)
        checker.check(kind, {**document, "flights": []})
    return sort_of(kind, properties, document)


def check_store(checker, folder):
    found = {"skydose.submission": 0, "skydose.manifest": 0}
    for path in Path(folder).glob("submissions/*/submission.json"):
        checker.check("skydose.submission", json.loads(path.read_text()))
        found["skydose.submission"] += 1
    for path in Path(folder).glob("submissions/*/results/*.json"):
        checker.check("skydose.manifest", json.loads(path.read_text()))
        found["skydose.manifest"] += 1
    if not all(found.values()):
        raise SystemExit(f"in the store lie {found}")


def main():
    broker, schema, store = sys.argv[1:]
    checker = Checker(json.loads(Path(schema).read_text()))
    connection = pika.BlockingConnection(pika.URLParameters(broker))
    channel = connection.channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    for exchange, key in [("jobs", "normal"), ("jobs", "high"), ("results", "#"), ("telemetry", "#")]:
        channel.queue_bind(queue, f"{PREFIX}.{exchange}", routing_key=key)
    print("ready", flush=True)
    seen, started = set(), time.monotonic()
    for method, properties, body in channel.consume(queue, auto_ack=True, inactivity_timeout=1):
        if method is not None:
            sort = check_message(checker, properties, body)
            if sort is not None and sort not in seen:
                print(sort, flush=True)
                seen.add(sort)
        if seen >= WANTED:
            break
        if time.monotonic() - started > PATIENCE_S:
            raise SystemExit(f"not seen: {sorted(WANTED - seen)}")
    check_store(checker, store)


if __name__ == "__main__":
    main()
