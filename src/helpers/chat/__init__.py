"""One interface to every model: conversations in, completions out, as they finish.

`LocalChat` runs a transformers model in this process; `EndpointChat` speaks to any
OpenAI-compatible server. The annotator, the tuned model and the judge are all the same thing to
the rest of the course: something with a `name` and a `complete` method.
"""

from .asking import Nobody, Request, ask, plan, unanswered, with_progress
from .local import LocalChat, local_chat
from .messages import SYSTEM, Completion, Continue, Messages, chat_template, frame, frame_ids, user
from .server import EndpointChat, endpoint_chat, read_reply
