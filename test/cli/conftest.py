# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A server on this machine that speaks the part of the Hugging Face hub's protocol that a download uses."""

import contextlib
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest


def git_blob_id(content: bytes) -> str:
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


class Hub:
    """Repositories by commit, what went over the line, and what is to go wrong.

    Attributes:
        commits: Files by commit.
        main: The commit of the branch `main`.
        requests: (method, path, headers) of every request.
        sent: Bytes of content sent, by file name.
        refuse: HTTP status, X-Error-Code for requests of files.
        hang_after: By file name: send so many bytes, then nothing more, holding the connection open.
        cut_after: By file name: send so many bytes, then close the connection; once.
        spoil: Names of files that are sent with one wrong byte in the middle.
        sizes: By file name: a size that the listing claims instead of the true one.
        pads: By file name: so many bytes more are sent, without a length.
        change: Called with the listing before it is sent.
        large: Endings of files that have a SHA-256.
    """

    repository = "lab/Small-1B"

    def __init__(self):
        self.commits, self.main = {}, ""
        self.requests, self.sent = [], {}
        self.refuse, self.hang_after, self.cut_after, self.spoil, self.sizes = None, {}, {}, set(), {}
        self.pads, self.change, self.large = {}, lambda body: None, (".safetensors", ".bin")
        self.closing = threading.Event()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                hub.requests.append((self.command, self.path, self.headers))
                hub.answer(self)

            do_HEAD = do_GET

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.port = self.server.server_address[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def commit(self, files: dict[str, bytes]) -> str:
        """Adds a commit, which becomes `main`."""
        self.main = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        self.commits[self.main] = dict(files)
        return self.main

    def paths(self, method="GET"):
        """Names of the files that were asked for."""
        return [
            unquote(path).split("/")[-1]
            for how, path, _ in self.requests
            if how == method and "/cdn/" in path
        ]

    def ranges(self, name):
        return [headers.get("Range") for _, path, headers in self.requests if path.endswith(f"/cdn/{name}")]

    def answer(self, request):
        parts = unquote(urlsplit(request.path).path).strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            return self.list(request, "/".join(parts[2:4]), parts[5] if len(parts) > 5 else "main")
        if parts[2:3] == ["resolve"]:
            return self.resolve(request, *parts[3:5])
        if parts[1:2] == ["cdn"]:
            return self.send(request, parts[2], self.commits[parts[0]][parts[2]])
        self.fail(request, 404)

    def list(self, request, repository, revision):
        if repository != self.repository:
            return self.fail(request, 401, "RepoNotFound")
        commit = self.main if revision == "main" else revision
        if commit not in self.commits:
            return self.fail(request, 404, "RevisionNotFound")
        siblings = []
        for name, content in self.commits[commit].items():
            entry = {
                "rfilename": name,
                "size": self.sizes.get(name, len(content)),
                "blobId": git_blob_id(content),
            }
            if name.endswith(tuple(self.large)):
                sha256 = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"sha256": sha256, "size": entry["size"], "pointerSize": 134}
                entry["blobId"] = git_blob_id(sha256.encode())
            siblings.append(entry)
        body = {
            "id": repository,
            "modelId": repository,
            "sha": commit,
            "private": False,
            "siblings": siblings,
        }
        self.change(body)
        self.reply(request, 200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def resolve(self, request, commit, name):
        """As the hub does: headers that name commit and content, and a redirect to another host."""
        if self.refuse:
            return self.fail(request, *self.refuse)
        content = self.commits[commit][name]
        headers = {
            "X-Repo-Commit": commit,
            "X-Linked-Size": str(len(content)),
            "X-Linked-ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            "Location": f"http://localhost:{self.port}/{commit}/cdn/{name}",
        }
        self.reply(request, 302, b"", headers)

    def send(self, request, name, content):
        if name in self.spoil:
            middle = len(content) // 2
            content = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        start, size = 0, len(content)
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "Accept-Ranges": "bytes"}
        status, wanted = 200, request.headers.get("Range")
        if wanted:
            start = int(wanted.removeprefix("bytes=").split("-")[0])
            status = 206
            headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        content = content[start:]
        if name in self.pads:
            return self.pour(request, content + bytes(self.pads[name]))
        hang, cut = self.hang_after.get(name), self.cut_after.pop(name, None)
        limit = next((end for end in (hang, cut) if end is not None), len(content))
        self.sent[name] = self.sent.get(name, 0) + min(limit, len(content))
        self.reply(request, status, content, headers, limit)
        if hang is not None:
            self.closing.wait(60)
        if hang is not None or cut is not None:
            request.close_connection = True

    def pour(self, request, content):
        """Sends until the other side hangs up; no header says how much."""
        request.send_response(200)
        request.send_header("Connection", "close")
        request.end_headers()
        request.close_connection = True
        with contextlib.suppress(OSError):
            request.wfile.write(content)

    def fail(self, request, status, code=None):
        self.reply(request, status, b"{}", {"X-Error-Code": code} if code else {})

    @staticmethod
    def reply(request, status, body, headers, limit=None):
        request.send_response(status)
        for key, value in ({"Content-Length": str(len(body))} | headers).items():
            request.send_header(key, value)
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(body[:limit])
            request.wfile.flush()

    def close(self):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def hub():
    hub = Hub()
    yield hub
    hub.close()
