"""One interface to every model: conversations in, completions out, as they finish.

`LocalChat` runs a transformers model in this process; `EndpointChat` speaks to any
OpenAI-compatible server. The annotator, the tuned model and the judge are all the same thing to
the rest of the course: something with a `name` and a `complete` method.
"""

from .asking import ROOM_TO_THINK, Nobody, Request, ask, plan, remarks, unanswered, with_progress
from .canary import Canary, spoken
from .local import LocalChat, local_chat
from .messages import SYSTEM, Completion, Continue, Messages, chat_template, frame, frame_ids, user
from .replies import read_reply
from .server import EndpointChat, endpoint_chat
