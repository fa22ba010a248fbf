"""The main job, end to end, on a real repository: what `mpctl demo` does.

Everything here goes through the daemon's public face, as any orchestrator would: the SDK
for orders, the event stream for what happened, `mpctl` for a person's word.
"""
