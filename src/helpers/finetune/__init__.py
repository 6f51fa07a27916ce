"""LIMA / LIMA-Role -> a tuned model (paper, sections 3.2 and 4.2), on TRL's SFTTrainer."""

from .attention import dropout_ramp, set_attention_dropout
from .encode import IGNORED, Encoded, encode_dialogue, encode_rows, segments
from .heldout import DIALOGUES, look, unseen, watched, watcher
from .tune import ARMS, LOGS, STRATEGIES, TRAINING, finetune, merge
