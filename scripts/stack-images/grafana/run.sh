#!/usr/bin/env python3
"""Healthy when the database takes Grafana's user for reading, and Prometheus answers."""

import http.server
import os
import urllib.request

import pymongo


class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        database = os.environ["GRAFANA_MONGODB_DATABASE"]
        client = pymongo.MongoClient(
            os.environ["GRAFANA_MONGODB_HOST"],
            username=os.environ["GRAFANA_MONGODB_USER"],
            password=os.environ["GRAFANA_MONGODB_PASSWORD"],
            authSource=database,
            serverSelectionTimeoutMS=2000,
        )
        client[database].readings.find_one()
        urllib.request.urlopen(f"http://{os.environ['GRAFANA_PROMETHEUS']}/-/ready", timeout=2).close()
        self.send_response(200)
        self.end_headers()


http.server.ThreadingHTTPServer(("", 3000), Health).serve_forever()
