"""What the scripted model server reads of agent programs: requests in four dialects, and the script in the prompt."""

from typing import Final

from moduprompt.scripted_model import loose
from moduprompt.scripted_model.conversation import next_turn
from moduprompt.scripted_model.routes import route_of
from moduprompt.scripted_model.script import Fault, find_script, parse_script
from tests.support.fuzzing.decoder import Decoder, text

SCRIPT: Final = (
    b'[{"write":{"path":"a","content":"x"},"text":"I write","usage":{"input_tokens":1}},'
    b'{"tool":{"name":"T","arguments":{"a":[1]}},"malformed":true,"times":2},'
    b'{"bash":"true","status":429,"retry_after_s":3},{"read":"a","sleep_s":0.5,"drip_s":1,"cut":true},{"text":"end"}]'
)
PROMPT: Final = b'Do it. SCRIPT[{"bash":"true"},{"text":"end"}]ENDSCRIPT'
INNER: Final = PROMPT.replace(b'"', b'\\"')
REQUESTS: Final = (
    b'{"model":"m","stream":true,"tools":[{"name":"Bash","input_schema":{"properties":{"command":{"type":"string"}},'
    b'"required":["command","why"]}}],"messages":[{"role":"user","content":[{"type":"text","text":"'
    + INNER
    + b'"}]},'
    b'{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"x"}]}],'
    b'"output_config":{"format":{"type":"json_schema"}}}',
    b'{"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"' + INNER + b'"}]},'
    b'{"type":"function_call_output","output":"x"}],"tools":[{"type":"custom","name":"apply_patch"}],"text":{}}',
    b'{"messages":[{"role":"user","content":"'
    + INNER
    + b'"},{"role":"tool","content":"x"}],"tools":[{"type":'
    b'"function","function":{"name":"bash","parameters":{"properties":{"command":{"type":"array"}}}}}]}',
    b'{"contents":[{"role":"user","parts":[{"text":"' + INNER + b'"},{"functionResponse":{}}]}],'
    b'"generationConfig":{"responseSchema":{"type":"OBJECT","properties":{"a":{"enum":["b"]}}}}}',
)
TARGETS: Final = ("/v1/messages", "/v1/responses", "/v1/chat/completions", "/v1beta/models/m:generateContent")


def answered(data: bytes) -> object:
    """A request in every dialect, as far as the bytes of the answer."""
    body = loose.table(loose.parse(data))
    written: list[object] = []
    for target in TARGETS:
        route = route_of(target)
        assert route is not None
        reply = next_turn(route.told(route.dialect.read(body), size=len(data))).reply
        written.append(loose.to_text(route.dialect.whole(reply)))
        written.append(route.dialect.pieces(reply))
    return written


OF_MODELS: Final[tuple[Decoder, ...]] = (
    Decoder(
        covers=("scripted_model.script:parse_script",),
        samples=(SCRIPT,),
        read=lambda data: parse_script(text(data)),
        refuses=(Fault,),
    ),
    Decoder(
        covers=("scripted_model.script:find_script",),
        samples=(PROMPT, PROMPT.replace(b'"', b'\\"')),
        read=lambda data: find_script(text(data)),
        refuses=(Fault,),
    ),
    Decoder(covers=("scripted_model.loose:parse",), samples=REQUESTS, read=answered, refuses=(loose.NoJson,)),
)
