"""The scripted model server as a process, spoken to over HTTP."""
