"""ModuPrompt: a kernel for work done by coding agents."""

__version__ = "0.1.0"
