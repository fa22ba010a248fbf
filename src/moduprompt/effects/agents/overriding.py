"""What a person has set over what adapters say of the limits of their programs."""

from collections.abc import Mapping

from msgspec.structs import asdict, replace

from moduprompt.config import AdapterLimits, ConfigRefused
from moduprompt.effects.agents.catalogue import ADAPTERS, adapter_named
from moduprompt.effects.agents.limits import Limits


def overridden(chosen: Mapping[str, AdapterLimits]) -> dict[str, Limits]:
    """The limits of those adapters that somebody has set some of. Raises ConfigRefused."""
    found: dict[str, Limits] = {}
    for name, limits in chosen.items():
        adapter = adapter_named(name)
        if adapter is None:
            known = ", ".join(sorted(each.name for each in ADAPTERS))
            message = f"config.toml: [limits.{name[:40]}]: no adapter has this name"
            raise ConfigRefused(message, path=name[:40], hint=f"there are: {known}")
        given = {field: value for field, value in asdict(limits).items() if value is not None}
        found[name] = replace(adapter.limits, **given)
    return found
