"""Hostile inputs: networks, suites and data sets that are damaged, contradictory, endless or full of code, each given
to a process of its own. Nothing may panic, end by a signal, take more than ten seconds or a gibibyte, run code, write
control characters, be accepted where it is wrong or refused where it is right, or be refused without the name of the
file and a hint.

    python3 scripts/hostile --epsball target/release/epsball            # everything
    python3 scripts/hostile --epsball target/release/epsball onnx data  # some kinds, by their beginnings

It prints a line for every fault and a table, and its exit code is 1 if there is a fault. The inputs are the same every
time. It needs Linux and nothing but Python's standard library."""

import argparse
import os
import pathlib
import re
import resource
import signal
import shutil
import sys
import tempfile
import threading
import time
import unicodedata
from collections import Counter

import checkpoints
import data
import fields
import models
import networks
import operators
import pictures
import suites
from case import ACCEPTED, EITHER, REFUSED

SECONDS = 10
MEMORY = 1 << 30
# Beyond this a process ends itself, so that a fault does not take the machine with it.
ADDRESSES = 12 << 30
PANIC = re.compile(
    r"panicked at|is a bug in epsball|report this as a bug|RUST_BACKTRACE|stack overflow|memory allocation of"
)
SOURCES = (models, checkpoints, networks, operators, fields, suites, data, pictures)
KINDS = ("safetensors", "checkpoint", "onnx", "suite", "data")


class Ran:
    """One command: how it ended, what it said, and what it took."""

    def __init__(self, command, folder, environment):
        with open(folder / ".out", "w+b") as out, open(folder / ".err", "w+b") as err, open(
            os.devnull, "rb"
        ) as nothing:
            started = time.monotonic()
            child = os.fork()
            if child == 0:
                try:
                    os.setsid()
                    os.chdir(folder)
                    for own, other in enumerate((nothing, out, err)):
                        os.dup2(other.fileno(), own)
                    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
                    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                    os.execve(os.fsencode(command[0]), [os.fsencode(word) for word in command], environment)
                finally:
                    os._exit(127)
            self.late = False
            watch = threading.Timer(SECONDS, self.stop, [child])
            watch.start()
            _, status, used = os.wait4(child, 0)
            watch.cancel()
            self.seconds = time.monotonic() - started
            # At least what this process takes, which the child is before it is another program.
            self.memory = used.ru_maxrss * 1024
            self.code = os.waitstatus_to_exitcode(status)
            self.texts = []
            for file in (out, err):
                file.seek(0)
                self.texts.append(file.read(1 << 24).decode("utf-8", "backslashreplace"))

    def stop(self, child):
        self.late = True
        os.killpg(child, signal.SIGKILL)

    @property
    def text(self):
        return "".join(self.texts)


def hidden(text):
    """The characters that a terminal acts on, or that turn a line around."""
    return sorted(
        {hex(ord(c)) for c in text if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") and c not in "\n\t"}
    )


def faults(case, ran, folder):
    """What is wrong with how a case ended, `(kind, detail)` each."""
    if ran.late:
        return [("time", f"stopped after {SECONDS} s")]
    found = []
    if ran.seconds > SECONDS:
        found.append(("time", f"{ran.seconds:.1f} s"))
    if ran.memory > MEMORY:
        found.append(("memory", f"{ran.memory >> 20} MiB"))
    if ran.code < 0:
        return [*found, ("signal", signal.Signals(-ran.code).name)]
    if PANIC.search(ran.text):
        found.append(("panic", PANIC.search(ran.text)[0]))
    if (folder / "RAN").exists():
        found.append(("code", "a function of the file was called"))
    if hidden(ran.text):
        found.append(("control characters", " ".join(hidden(ran.text)[:6])))
    if len(ran.text) > 100_000:
        found.append(("length", f"{len(ran.text)} characters are said"))
    if ran.code == 0:
        if case.wanted == REFUSED:
            found.append(("accepted", "what is wrong is taken"))
        return found
    if case.wanted == ACCEPTED:
        return [*found, ("refused", f"what is right is not taken: {ran.texts[1].strip()[:200]}")]
    if ran.code not in case.codes:
        found.append(("exit code", str(ran.code)))
    error = [line for line in ran.texts[1].splitlines() if line.startswith("error: ")]
    if not error:
        found.append(("message", "there is no error"))
    elif case.mention and case.mention not in ran.texts[1]:
        found.append(("place", f"{case.mention} is not named: {error[0][:160]}"))
    if not re.search(r"^(hint: .|  tip: |For more information, try )", ran.texts[1], re.MULTILINE):
        found.append(("remedy", (error or [""])[0][:160]))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epsball", type=pathlib.Path, required=True, help="the program")
    parser.add_argument("--verbose", action="store_true", help="what is said about every input")
    parser.add_argument("--only", default="", help="inputs whose names match this pattern")
    parser.add_argument("kinds", nargs="*", help=f"kinds of inputs: {', '.join(KINDS)}")
    options = parser.parse_args()
    program = options.epsball.resolve(strict=True)
    made = [case for source in SOURCES for case in source.cases()]
    names = [(case.kind, case.name) for case in made]
    assert len(set(names)) == len(names), [name for name, count in Counter(names).items() if count > 1]
    chosen = [case for case in made if not options.kinds or case.kind.startswith(tuple(options.kinds))]
    chosen = [case for case in chosen if re.search(options.only, case.name)]
    total, wrong, kinds = Counter(), Counter(), Counter()
    longest, largest = (0, ""), (0, "")
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="hostile-"))
    environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(scratch), "XDG_CACHE_HOME": str(scratch / "cache")}
    try:
        for number, case in enumerate(chosen):
            folder = scratch / f"{number:04}"
            folder.mkdir()
            case.build(folder)
            ran = Ran([str(program), *case.command], folder, environment)
            found = faults(case, ran, folder)
            title = f"{case.kind} {case.name}"
            total[case.kind, case.wanted] += 1
            wrong[case.kind] += bool(found)
            longest = max(longest, (round(ran.seconds, 2), title))
            largest = max(largest, (ran.memory >> 20, title))
            for kind, detail in found:
                kinds[kind] += 1
                print(f"FAULT {title}: {kind}: {detail}", flush=True)
            if options.verbose:
                said = ran.text.strip()
                print(
                    f"{title}: {ran.code}, {ran.seconds:.2f} s, {ran.memory >> 20} MiB\n    "
                    + said[:600].replace("\n", "\n    ")
                )
            shutil.rmtree(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"{'kind':<12} {'inputs':>7} {'wrong':>7} {'right':>7} {'either':>7} {'faults':>7}")
    for kind in KINDS:
        counts = [total[kind, wanted] for wanted in (REFUSED, ACCEPTED, EITHER)]
        if sum(counts):
            print(f"{kind:<12} {sum(counts):>7} {counts[0]:>7} {counts[1]:>7} {counts[2]:>7} {wrong[kind]:>7}")
    print(f"faults by kind: {', '.join(f'{kind} {count}' for kind, count in kinds.most_common()) or 'none'}")
    print(f"longest {longest[0]} s ({longest[1]}), largest {largest[0]} MiB ({largest[1]})")
    return 1 if kinds else 0


if __name__ == "__main__":
    sys.exit(main())
