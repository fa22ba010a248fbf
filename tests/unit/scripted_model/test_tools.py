"""A step finds the tool that does it in what a program offers, whatever the program calls it."""

import pytest

from moduprompt.scripted_model.script import Bash, Order, Read, Tool, Write
from moduprompt.scripted_model.tools import Chosen, NoTool, Offer, choose, example

WRITE = Write("a b", "one\ntwo\n")
BY_SHELL = """mkdir -p "$(dirname 'a b')" && printf %s 'one\ntwo\n' > 'a b'"""


def offer(name: str, *keys: str, required: tuple[str, ...] = (), **properties: object) -> Offer:
    schema = {key: {"type": "string"} for key in keys} | properties
    return Offer(name, {"type": "object", "properties": schema, "required": list(required)})


WORDS = {"type": "array", "items": {"type": "string"}}


@pytest.mark.parametrize(
    ("order", "offered", "call"),
    [
        (
            WRITE,
            offer("Write", "file_path", "content"),
            {"file_path": "a b", "content": WRITE.content},
        ),
        (
            WRITE,
            offer("write", "filePath", "content"),
            {"filePath": "a b", "content": WRITE.content},
        ),
        (
            WRITE,
            offer("mcp__acp__Write", "file_path", "content"),
            {"file_path": "a b", "content": WRITE.content},
        ),
        (WRITE, offer("exec_command", "cmd"), {"cmd": BY_SHELL}),
        (Read("a b"), offer("read_file", "absolute_path"), {"absolute_path": "a b"}),
        (Read("a b"), offer("bash", "command"), {"command": "cat 'a b'"}),
        (Bash("make"), offer("Bash", "command"), {"command": "make"}),
        (Bash("make"), offer("shell", command=WORDS), {"command": ["bash", "-c", "make"]}),
        (Bash("make"), offer("run_commands", commands=WORDS), {"commands": ["make"]}),
        (
            Bash("make"),
            offer("bash", "command", "description", required=("command", "description")),
            {"command": "make", "description": "scripted"},
        ),
        (Tool("Odd", {"x": 1}), offer("Odd"), {"x": 1}),
    ],
)
def test_the_tool_is_found_by_its_name_and_its_schema(
    order: Order, offered: Offer, call: dict[str, object]
) -> None:
    others = (offer("Task", "prompt"), offer("NotebookEdit", "path", "content"))

    assert choose(order, (*others, offered)) == Chosen(offered.name, call)


def test_a_file_is_patched_where_nothing_writes_it() -> None:
    patch = "*** Begin Patch\n*** Add File: a b\n+one\n+two\n*** End Patch\n"
    shell = offer("exec_command", "cmd")

    assert choose(WRITE, (shell, Offer("apply_patch", {}, is_freeform=True))) == Chosen("apply_patch", patch)


@pytest.mark.parametrize("order", [WRITE, Read("a"), Bash("a"), Tool("Odd", {})])
def test_what_nothing_offered_can_do_is_said(order: Order) -> None:
    with pytest.raises(NoTool, match="offered: Task"):
        choose(order, (offer("Task", "prompt"),))


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "scripted"),
        ({"type": "STRING"}, "scripted"),
        ({"type": ["null", "string"]}, None),
        ({"enum": ["b", "a"]}, "b"),
        ({"const": 3}, 3),
        ({"anyOf": [{"type": "integer"}]}, 1),
        ({"type": "object", "properties": {"a": {"type": "array"}}}, {"a": []}),
        (None, "scripted"),
    ],
)
def test_an_example_fits_its_schema(schema: object, value: object) -> None:
    assert example(schema) == value
