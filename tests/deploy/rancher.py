"""A Rancher that has one node pool of `/v3`: as much as the program reads to
see a pool, and the one write that it makes to let it grow.
"""

import json
import threading
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CLUSTER, POOL = "c-abcde", "c-abcde:np-fghij"


def after(**of):
    return (datetime.now(timezone.utc) + timedelta(**of)).strftime("%Y-%m-%dT%H:%M:%SZ")


class Rancher:
    """Serves on a free port of loopback; `node` is the pool's first machine."""

    def __init__(self, node):
        self.quantity = 1
        self._node = node
        rancher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self._answer(rancher.read(self.path.split("?")[0]))

            def do_PUT(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                rancher.quantity = body["quantity"]
                self._answer(rancher.read(self.path))

            def _answer(self, value):
                body = json.dumps(value or {"type": "error", "status": 404}).encode()
                self.send_response(200 if value else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def read(self, path):
        return {
            "/v3/settings/server-version": {"value": "v2.11.3"},
            "/v3/tokens": {"data": [{"current": True, "expiresAt": after(days=60)}]},
            f"/v3/nodePools/{POOL}": {
                "id": POOL,
                "clusterId": CLUSTER,
                "quantity": self.quantity,
                "worker": True,
                "controlPlane": False,
                "etcd": False,
                "state": "active",
                "transitioning": "no",
            },
            "/v3/nodes": {"data": [self._machine(n) for n in range(self.quantity)]},
        }.get(path)

    def _machine(self, n):
        """The first is there, the others boot."""
        there = {"nodeName": self._node, "state": "active", "created": after(hours=-1)}
        booting = {"nodeName": "", "state": "provisioning", "created": after(seconds=-5)}
        standing = {"transitioning": "no", "transitioningMessage": ""}
        return {"id": f"{CLUSTER}:m-{n:05}", "nodePoolId": POOL, **(booting if n else there), **standing}
