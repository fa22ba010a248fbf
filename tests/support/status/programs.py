"""How the real programs are started in a terminal, offline, against the scripted model; and what they are told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

KEY: Final = "scripted-key-0123456789"


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """A program in a terminal. `asks`: it asks before it writes and before it runs a command."""

    name: str
    version: str
    argv: tuple[str, ...]
    asks: bool = True
    retries_limits: bool = True  # asks again by itself after a 429
    start_s: float = 0.0  # so long it draws nothing and takes no keys after its first screen
    wants_whole_paths: bool = False
    escalates: bool = False  # asks for commands only where the model says that its sandbox is too narrow


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where it runs. All of it is thrown away."""

    home: Path
    repo: Path
    address: str


PROGRAMS: Final = (
    Program(name="claude", version="2.1.197", argv=("claude",)),
    Program(
        name="codex", version="0.169.0", argv=("codex", "--no-daemon"), retries_limits=False, escalates=True
    ),
    Program(name="gemini", version="0.61.0", argv=("gemini", "--skip-trust")),
    Program(name="opencode", version="1.18.33", argv=("opencode",), start_s=25.0),
    Program(
        name="pi",
        version="0.73.1",
        argv=("pi", "--provider", "scripted", "--model", "scripted-model"),
        asks=False,
    ),
    Program(
        name="qwen",
        version="0.15.10",
        argv=("qwen", "--auth-type", "openai"),
        wants_whole_paths=True,
    ),
)


def environment(place: Place) -> Mapping[str, str]:
    """Everything that any of them needs; none reads another's."""
    return {
        "HOME": str(place.home),
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        "ANTHROPIC_BASE_URL": place.address,
        "ANTHROPIC_API_KEY": KEY,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "IS_SANDBOX": "1",
        "SCRIPTED_KEY": KEY,
        "GEMINI_API_KEY": KEY,
        "GOOGLE_GEMINI_BASE_URL": place.address,
        "GEMINI_MODEL": "gemini-2.5-pro",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
        "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
        "PI_OFFLINE": "1",
        "PI_SKIP_VERSION_CHECK": "1",
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": f"{place.address}/v1",
        "OPENAI_MODEL": "scripted-model",
    }


def configure(place: Place) -> None:
    """Write what they want to have found already: no first steps, nothing sent anywhere, permissions asked for."""
    for path, content in _files(place).items():
        target = place.home / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content if isinstance(content, str) else json.dumps(content))


def _files(place: Place) -> dict[str, object]:
    quiet = {"usageStatisticsEnabled": False}
    model = {"id": "scripted-model", "name": "scripted-model"}
    return {
        ".claude.json": {
            "hasCompletedOnboarding": True,
            "theme": "dark",
            "customApiKeyResponses": {"approved": [KEY[-20:]], "rejected": []},
            "projects": {str(place.repo): {"hasTrustDialogAccepted": True}},
        },
        ".codex/config.toml": _codex(place),
        ".gemini/settings.json": {
            "security": {"auth": {"selectedType": "gemini-api-key"}},
            "privacy": quiet,
            "general": {"enableAutoUpdate": False},
        },
        ".config/opencode/opencode.json": {
            "model": "scripted/scripted-model",
            "provider": {
                "scripted": {
                    "npm": "@ai-sdk/openai-compatible",
                    "name": "scripted",
                    "options": {"baseURL": f"{place.address}/v1", "apiKey": KEY},
                    "models": {"scripted-model": {"name": "scripted-model", "tool_call": True}},
                }
            },
            "permission": {"edit": "ask", "bash": "ask"},
            "autoupdate": False,
            "share": "disabled",
        },
        ".pi/agent/models.json": {
            "providers": {
                "scripted": {
                    "baseUrl": f"{place.address}/v1",
                    "apiKey": KEY,
                    "api": "openai-completions",
                    "models": [model],
                }
            }
        },
        ".qwen/settings.json": {
            "privacy": quiet,
            "general": {"enableAutoUpdate": False},
            "security": {"auth": {"selectedType": "openai"}},
            "memory": {"enableManagedAutoMemory": False, "enableManagedAutoDream": False},
        },
    }


def _codex(place: Place) -> str:
    return f"""
model = "scripted-model"
model_provider = "scripted"
approval_policy = "on-request"
sandbox_mode = "read-only"
check_for_update_on_startup = false
[model_providers.scripted]
name = "scripted"
base_url = "{place.address}/v1"
env_key = "SCRIPTED_KEY"
wire_api = "responses"
[features]
plugins = false
apps = false
daemon_auto_start = false
[analytics]
enabled = false
[projects."{place.repo}"]
trust_level = "trusted"
"""
