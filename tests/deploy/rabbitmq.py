"""A private RabbitMQ: own ports of loopback, own folder, and an end with the
block that started it.

    with RabbitMQ() as broker:
        broker.amqp, broker.management    # ports; the administrator is guest
"""

import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

# The scripts that need neither systemd nor a particular user.
PROGRAMS = Path("/usr/lib/rabbitmq/bin")
PATIENCE_S = 240
VHOST = "skydose"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class RabbitMQ:
    """One node with the management API and an empty virtual host."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="skydose-rabbitmq-")
        self.amqp, self.management, self._distribution, self._epmd = (free_port() for _ in range(4))
        self._processes = []

    def __enter__(self):
        folder = Path(self._folder.name)
        cookie = folder / ".erlang.cookie"
        cookie.write_text(os.urandom(12).hex())
        cookie.chmod(0o400)
        (folder / "plugins").write_text("[rabbitmq_management].\n")
        (folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.amqp}\nmanagement.tcp.ip = 127.0.0.1\n"
            f"management.tcp.port = {self.management}\nloopback_users.guest = false\n"
            f"default_vhost = {VHOST}\ndisk_free_limit.absolute = 50MB\ncollect_statistics_interval = 1000\n"
        )
        try:
            self._start("/usr/bin/epmd", "-port", str(self._epmd), "-address", "127.0.0.1")
            self._start(PROGRAMS / "rabbitmq-server")
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _environment(self):
        folder = self._folder.name
        files = {
            "MNESIA_BASE": "data",
            "LOG_BASE": "log",
            "ENABLED_PLUGINS_FILE": "plugins",
            "CONFIG_FILE": "rabbitmq.conf",
            "CONF_ENV_FILE": "none",
            "ADVANCED_CONFIG_FILE": "none.config",
            "GENERATED_CONFIG_DIR": "generated",
            "PID_FILE": "pid",
            "FEATURE_FLAGS_FILE": "feature_flags",
        }
        return {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "ERL_EPMD_PORT": str(self._epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": "deploy@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.amqp),
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none",
            # The script then becomes the node, so that a signal meets it.
            "RUNNING_UNDER_SYSTEMD": "yes",
            **{f"RABBITMQ_{name}": f"{folder}/{file}" for name, file in files.items()},
        }

    def _start(self, *command):
        log = open(Path(self._folder.name, "output"), "ab")
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment(), start_new_session=True
        )
        log.close()
        self._processes.append(process)

    def _wait(self):
        started = time.monotonic()
        while True:
            output = Path(self._folder.name, "output").read_text(errors="replace")
            if "completed with" in output:
                return
            if self._processes[-1].poll() is not None or time.monotonic() - started > PATIENCE_S:
                raise RuntimeError(f"RabbitMQ does not start:\n{output}")
            time.sleep(0.1)

    def __exit__(self, *_):
        """Ends the node and what it started, then its port mapper."""
        for process in reversed(self._processes):
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        self._processes.clear()
        self._folder.cleanup()

    def uri(self, user="guest", password="guest"):
        return f"amqp://{user}:{password}@127.0.0.1:{self.amqp}/{VHOST}"

    def management_uri(self, user="guest", password="guest"):
        return f"http://{user}:{password}@127.0.0.1:{self.management}"
