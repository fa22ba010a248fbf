"""The project as its users meet it: through make and the installed commands."""
