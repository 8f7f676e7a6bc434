"""A Flask application as a Worker."""

import hashlib
import time

from flask import Flask, Response, jsonify, request, session, stream_with_context
from workers import wsgi

app = Flask(__name__)
# In an application of yours: a secret, read in the handler or declared in the configuration.
app.secret_key = "not a secret"


@app.get("/")
def root():
    session["visits"] = session.get("visits", 0) + 1
    return jsonify(client=request.remote_addr, visits=session["visits"])


@app.post("/items")
def make():
    return jsonify({"name": request.json["name"].upper(), "query": request.args}), 201


@app.post("/upload")
def upload():
    file = request.files["file"]
    digest = hashlib.sha256()
    size = 0
    while chunk := file.stream.read(1 << 20):
        digest.update(chunk)
        size += len(chunk)
    return jsonify(name=file.filename, size=size, sha256=digest.hexdigest())


@app.get("/events")
def events():
    @stream_with_context
    def ticks():
        for i in range(3):
            yield f"data: {i} {request.path}\n\n"
            time.sleep(0.05)

    return Response(ticks(), mimetype="text/event-stream")


@app.errorhandler(404)
def missing(error):
    return jsonify(error="no such page"), 404


Default = wsgi.entrypoint(app)
