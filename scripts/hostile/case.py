"""What a case is: files in a folder of its own, a command there, and what has to come of it."""

import dataclasses
import os
import socket

REFUSED, ACCEPTED, EITHER = "refused", "accepted", "either"


@dataclasses.dataclass
class Case:
    """`files` are contents by path, or functions that make what is at a path. `mention` has to be in what is said if
    the input is refused; `codes` are the exit codes of a refusal."""

    kind: str
    name: str
    command: list
    files: dict
    wanted: str = REFUSED
    mention: str = ""
    codes: tuple = (2,)

    def build(self, folder):
        for path, content in self.files.items():
            # Names of files may be bytes that are no text.
            path = os.path.join(os.fsencode(folder), os.fsencode(path))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if callable(content):
                content(path)
            else:
                with open(path, "wb") as file:
                    file.write(content if isinstance(content, bytes) else content.encode())


def sparse(length, start=b"", end=b""):
    """A file of this length that is zeros but for its start and its end, and takes no room on the disk."""

    def make(path):
        with open(path, "wb") as file:
            file.write(start)
            file.truncate(length)
            file.seek(length - len(end))
            file.write(end)

    return make


def pipe(path):
    os.mkfifo(path)


def folder(path):
    os.mkdir(path)


def link(target):
    return lambda path: os.symlink(target, path)


def listener(path):
    """A socket: its name is short, so it is bound from its own folder."""
    here = os.getcwd()
    os.chdir(os.path.dirname(path))
    try:
        made = socket.socket(socket.AF_UNIX)
        made.bind(os.path.basename(path))
        made.close()
    finally:
        os.chdir(here)


def secret(path):
    with open(path, "wb") as file:
        file.write(b"secret")
    os.chmod(path, 0)


# What is at a path where a file should be.
PLACES = [
    ("pipe", pipe),
    ("socket", listener),
    ("folder", folder),
    ("missing", link("nothing-there")),
    ("loop", link("loop")),
    ("device-zero", link("/dev/zero")),
    ("device-null", link("/dev/null")),
    ("terminal", link("/dev/tty")),
    ("process-memory", link("/proc/self/mem")),
]
# A superuser reads whatever there is.
if os.geteuid() != 0:
    PLACES.append(("unreadable", secret))
