"""The composition root: the only package that knows everyone."""

from moduprompt.daemon.building import ALL_VIEWS as ALL_VIEWS
from moduprompt.daemon.serving import COLLECT as COLLECT
from moduprompt.daemon.serving import serve as serve
