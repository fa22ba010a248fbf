"""What holds for every test: a property is judged by what it finds, never by how fast this machine is at the moment."""

import signal

from hypothesis import HealthCheck, settings

# On a busy machine one example may take any time, and drawing the first ones too. `print_blob`: a failure that was
# found with a fresh seed says how it is done again.
settings.register_profile(
    "house", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("house")

# A shell that starts the tests in the background has them ignore interrupts, and so would every program that they start
# and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
