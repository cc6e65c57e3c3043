import subprocess
import sys

TEXT = """
import atexit, sys
from powerbench.ending import end_process

class Heavy:
    def __del__(self):
        print("taken apart", flush=True)

kept = Heavy()
kept.itself = kept
atexit.register(lambda: print("registered for the end"))
sys.stdout.write("said")
sys.stdout.write(", unflushed; ")
end_process(3)
"""


def test_what_was_said_and_registered_is_not_lost_and_nothing_is_taken_apart():
    ended = subprocess.run([sys.executable, "-c", TEXT], capture_output=True, text=True)
    assert ended.returncode == 3
    assert ended.stdout == "said, unflushed; registered for the end\n"
    assert ended.stderr == ""


def test_threads_end_first():
    text = "import threading, time; from powerbench.ending import end_process\n"
    text += (
        "threading.Thread(target=lambda: (time.sleep(0.2), print('thread ended', flush=True))).start(); end_process(0)"
    )
    assert subprocess.run([sys.executable, "-c", text], capture_output=True, text=True).stdout == "thread ended\n"
