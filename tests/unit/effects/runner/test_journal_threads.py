"""Journals are read in several threads at once, also the very first ones of a process."""

import subprocess
import sys

TRIES = 12  # with the types' plans made by whoever came first, one in six ended its process
READERS = """
import sys, threading
from moduprompt.effects.runner.journal import decode_entry
sys.setswitchinterval(1e-6)
lines = [b'{"number":1,"at_us":1,"kind":"lost_keeper","data":{}}', b'{"number":2,"at_us":2,"kind":"exited","data":{}}']
together = threading.Barrier(16)
def read():
    together.wait()
    for line in lines * 20:
        try:
            decode_entry(line)
        except ValueError:
            pass
readers = [threading.Thread(target=read) for _ in range(16)]
for each in readers: each.start()
for each in readers: each.join()
"""


def test_the_first_readers_of_a_process_may_come_at_once() -> None:
    tries = [subprocess.Popen([sys.executable, "-c", READERS]) for _ in range(TRIES)]

    assert [each.wait() for each in tries] == [0] * TRIES
