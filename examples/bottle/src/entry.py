"""A Bottle application as a Worker."""

import hashlib
import time

from bottle import Bottle, request, response
from workers import wsgi

app = Bottle()


@app.get("/hello/<name>")
def hello(name):
    return {"hello": name, "from": request.remote_addr}


@app.post("/upload")
def upload():
    file = request.files.get("file")
    digest = hashlib.sha256()
    size = 0
    while chunk := file.file.read(1 << 20):
        digest.update(chunk)
        size += len(chunk)
    return {"name": file.raw_filename, "size": size, "sha256": digest.hexdigest()}


@app.get("/events")
def events():
    response.content_type = "text/event-stream"
    for i in range(3):
        yield f"data: {i}\n\n"
        time.sleep(0.05)


@app.get("/fails")
def fails():
    raise ValueError("in the application")


Default = wsgi.entrypoint(app)
