"""A server on loopback with the storage interface of the Hugging Face Hub: create, commit, list and fetch."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_test"


class HubServer(ThreadingHTTPServer):
    """
    Repositories in memory. The token of :data:`TOKEN` may write to those of ``user``, and see private ones.

    Use it as a context manager: it serves until the end of the block.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        #: repository -> path -> content
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.private: set[str] = set()
        self.messages: list[str] = []
        #: paths of files that were sent
        self.fetched: list[str] = []

    @property
    def endpoint(self) -> str:
        """For ``HF_ENDPOINT``."""
        return f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> HubServer:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def compute_revision(self, repository: str) -> str:
        """:return: the commit of a repository's content"""
        content = repr(sorted(self.repositories[repository].items()))
        return hashlib.sha1(content.encode()).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HubServer

    def log_message(self, *_: Any) -> None:
        """Print nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        if parts == ["api", "validate-yaml"]:
            self._send_json({"warnings": [], "errors": []})
        elif not self._has_token():
            self._send_error(401, "Invalid username or password.")
        elif parts == ["api", "repos", "create"]:
            self._create(json.loads(body))
        elif (name := "/".join(parts[2:4])) not in self.server.repositories:
            self._send_missing()
        elif parts[4] == "preupload":
            files = json.loads(body)["files"]
            modes = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in files]
            self._send_json({"files": modes})
        else:
            self._commit(name, [json.loads(line) for line in body.splitlines()])

    def do_HEAD(self) -> None:
        self._get(with_body=False)

    def do_GET(self) -> None:
        self._get(with_body=True)

    def _get(self, *, with_body: bool) -> None:
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        if parts == ["api", "whoami-v2"]:
            if self._has_token():
                self._send_json({"type": "user", "name": "user"})
            else:
                self._send_error(401, "Invalid username or password.")
            return
        is_api = parts[:2] == ["api", "models"]
        name = "/".join(parts[2:4] if is_api else parts[:2])
        if name not in self.server.repositories or (name in self.server.private and not self._has_token()):
            self._send_missing()
            return
        files, revision = self.server.repositories[name], self.server.compute_revision(name)
        if not is_api:
            path = "/".join(parts[4:])
            self.server.fetched += [path] if with_body else []
            headers = {"ETag": f'"{_identify(files[path])}"', "X-Repo-Commit": revision}
            self._send(200, files[path] if with_body else b"", headers, length=len(files[path]))
        elif "revision" in parts and parts[-1] not in ("main", revision):
            headers = {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "Invalid rev id"}
            self._send(404, b"{}", headers)
        elif "tree" in parts:
            self._send_json(
                [
                    {"type": "file", "path": path, "size": len(data), "oid": _identify(data)}
                    for path, data in files.items()
                ]
            )
        else:
            siblings = [{"rfilename": path} for path in files]
            self._send_json({"id": name, "sha": revision, "siblings": siblings, "private": False, "tags": []})

    def _create(self, asked: Mapping[str, Any]) -> None:
        name = f"{asked.get('organization') or 'user'}/{asked['name']}"
        if not name.startswith("user/"):
            self._send_error(403, "You don't have the rights to create a model under this namespace")
            return
        is_new = name not in self.server.repositories
        self.server.repositories.setdefault(name, {})
        if asked.get("private") or asked.get("visibility") == "private":
            self.server.private.add(name)
        found = {"url": f"{self.server.endpoint}/{name}", "name": name}
        self._send_json(
            found if is_new else {**found, "error": "You already created this model repo"}, 200 if is_new else 409
        )

    def _commit(self, name: str, lines: list[dict[str, Any]]) -> None:
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                self.server.messages.append(value["summary"])
            elif line["key"] == "file":
                self.server.repositories[name][value["path"]] = base64.b64decode(value["content"])
        revision = self.server.compute_revision(name)
        self._send_json({"commitUrl": f"{self.server.endpoint}/{name}/commit/{revision}", "commitOid": revision})

    def _has_token(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _send_missing(self) -> None:
        """As on the Hub, 401 without a token, since the repository may be private."""
        status = 404 if self._has_token() else 401
        headers = {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}
        self._send(status, b'{"error": "Repository not found"}', headers)

    def _send_error(self, status: int, message: str) -> None:
        self._send(status, json.dumps({"error": message}).encode(), {"X-Error-Message": message})

    def _send_json(self, content: Any, status: int = 200) -> None:
        self._send(status, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str], length: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)


def _identify(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
