"""Containers of one image, as a cluster runs them: a read-only root, no
capabilities, a user that nobody knows.
"""

import random
import shlex
import subprocess


class Podman:
    """Containers of one image, in one folder, as one user that nobody knows."""

    def __init__(self, command, image, folder):
        self.command, self.image, self.folder = command, image, folder
        self.user = f"{random.randrange(100_000, 2_000_000)}:{random.randrange(100_000, 2_000_000)}"
        self.started = []

    def call(self, *arguments, may_fail=False):
        done = subprocess.run([*self.command, *arguments], capture_output=True, text=True)
        if done.returncode and not may_fail:
            raise SystemExit(f"podman {shlex.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def _run(self, words, role, options):
        confined = ["--read-only", "--read-only-tmpfs=false", "--cap-drop=all", "--security-opt=no-new-privileges"]
        written = ["--tmpfs=/tmp", "--tmpfs=/var/cache/skydose:rw,mode=1777", f"--volume={self.folder}/data:/data"]
        read = [f"--volume={self.folder}/etc:/etc/skydose:ro"]
        environment = [f"--env={name}={value}" for name, value in role.items()]
        given = [f"--user={self.user}", "--network=host", *environment, *options, self.image, *words]
        return ["run", *confined, *written, *read, *given]

    def skydose(self, *words, role, may_fail=False):
        """One command of the program, to its end."""
        return self.call(*self._run(words, role, ["--rm"]), may_fail=may_fail)

    def says(self, image, program, *words):
        """What a program of any image prints, whether it goes well or not."""
        done = self.call("run", "--rm", "--network=host", f"--entrypoint={program}", image, *words, may_fail=True)
        return done.stdout + done.stderr

    def worker(self, name, role):
        """A worker by the image's own command line."""
        self.started.append(name)
        self.call(*self._run([], role, ["--detach", f"--name={name}"]))

    def inspect(self, name, what):
        return self.call("inspect", "--format", f"{{{{{what}}}}}", name).stdout.strip()

    def logs(self, name):
        done = self.call("logs", name, may_fail=True)
        return done.stdout + done.stderr

    def clean(self):
        for name in self.started:
            self.call("rm", "--force", "--time=0", name, may_fail=True)
