#!/usr/bin/env python3
"""Submits flights to skydose and prints what they met, with plain pika.

    pip install pika
    submit.py --broker amqp://USER:PASSWORD@HOST:5672/VHOST --dataset NAME FLIGHTS.csv

FLIGHTS.csv has the columns flight_id, time, longitude, latitude and one for
the height, such as altitude_ft: see docs/messages.md. Each flight is a job.
"""

import argparse
import csv
import json
import sys
import uuid

import pika

PREFIX = "skydose"


def flights(path):
    """The flights of a table: their columns, by name."""
    found = {}
    with open(path, newline="") as table:
        for row in csv.DictReader(table):
            columns = found.setdefault(row.pop("flight_id"), {name: [] for name in row})
            for name, text in row.items():
                columns[name].append(value(name, text))
    return found


def value(name, text):
    """A cell: times stay text, truth values and numbers become such."""
    if text == "":
        return None
    if name == "time":
        return text
    if name == "on_ground":
        return text.lower() in ("true", "1")
    return float(text)


def publish(channel, submission, number, body):
    """Returns once the broker has the job safe; raises where no queue takes it."""
    channel.basic_publish(
        exchange=f"{PREFIX}.jobs",
        routing_key="normal",
        body=json.dumps(body),
        mandatory=True,
        properties=pika.BasicProperties(
            type="skydose.job",
            message_id=f"{submission}-{number:06}",
            content_type="application/json",
            delivery_mode=2,
            headers={"skydose-version": 1, "skydose-submission": submission},
        ),
    )


def results(channel, queue, jobs, patience):
    """Every job's first answer; what is told of it again is not counted."""
    answered, buried = {}, {}
    for method, properties, body in channel.consume(queue, inactivity_timeout=patience):
        if method is None:
            break
        if properties.type == "skydose.result" and properties.headers["skydose-version"] == 1:
            event = json.loads(body)
            ending = event["ending"]
            if "answered" in ending:
                answered.setdefault(event["job"], ending["answered"])
                buried.pop(event["job"], None)
            elif event["job"] not in answered:
                buried[event["job"]] = ending
        channel.basic_ack(method.delivery_tag)
        if len(answered) + len(buried) >= jobs:
            break
    channel.cancel()
    return answered, buried


def main():
    parser = argparse.ArgumentParser(description="Submits flights to skydose and prints what they met.")
    parser.add_argument("--broker", default="amqp://localhost:5672/", help="address of RabbitMQ")
    parser.add_argument("--dataset", required=True, help="a name of the workers' catalogue")
    parser.add_argument("--contaminant", action="append", default=[], help="repeatable; all by default")
    parser.add_argument("--patience", type=float, default=60, help="seconds without a result to wait")
    parser.add_argument("flights", help="a CSV file")
    args = parser.parse_args()

    submission = f"py-{uuid.uuid4()}"
    connection = pika.BlockingConnection(pika.URLParameters(args.broker))
    channel = connection.channel()
    # The queue for the results is there before any job is.
    queue = f"{PREFIX}.results.{submission}"
    channel.queue_declare(queue, durable=True)
    channel.queue_bind(queue, f"{PREFIX}.results", routing_key=submission)
    channel.confirm_delivery()

    jobs = 0
    for flight_id, columns in flights(args.flights).items():
        jobs += 1
        body = {"dataset": args.dataset, "flights": [{"flight_id": flight_id, **columns}]}
        if args.contaminant:
            body["contaminants"] = args.contaminant
        publish(channel, submission, jobs, body)
    print(f"submission {submission}: {jobs} jobs", file=sys.stderr)

    answered, buried = results(channel, queue, jobs, args.patience)
    channel.queue_delete(queue)
    connection.close()

    table = csv.writer(sys.stdout)
    table.writerow(["flight_id", "contaminant", "dosage_g_s_m3", "peak_mg_m3", "sampled_fraction"])
    for job in sorted(answered):
        rows = answered[job]["rows"]
        if "stored" in rows:
            print(f"{job}: rows lie in the store as {rows['stored']['object']}", file=sys.stderr)
        for row in rows.get("inline", []):
            if row["phase"] == "flight":
                table.writerow([row[name] for name in
                                ("flight_id", "contaminant", "dosage_g_s_m3", "peak_mg_m3", "sampled_fraction")])
    for job, ending in sorted(buried.items()):
        print(f"{job}: {json.dumps(ending)}", file=sys.stderr)
    missing = jobs - len(answered) - len(buried)
    if missing:
        print(f"{missing} jobs have no result yet", file=sys.stderr)
    return 0 if len(answered) == jobs else 1


if __name__ == "__main__":
    sys.exit(main())
