"""The default agent: a program that follows a small script in a terminal. See docs/scripted-agent.md.

It stands alone: standard library only, nothing of ours, no way into the kernel but `mpctl`
on its PATH, which any other agent program has too.
"""
